// The launchers of attention_mma.cuh and attention_mma_grad.cuh; each kind of numbers is a file of
// its own, to build side by side.

#pragma once

#include <algorithm>

#include "attention_launch.cuh"
#include "attention_mma_grad.cuh"

namespace tinygrad_ai::cuda {

// Which kernels: heads padded to D numbers; EXTRA, with what is not usual.
template <int D_, bool EXTRA_> struct Choice {
  static constexpr int D = D_;
  static constexpr bool EXTRA = EXTRA_;
};

// launch(Choice) for these inputs.
template <class T, class F> Status by_choice(const Attention<T> &f, bool extra, const F &launch) {
  // The usual kernel takes the maximum before it scales, and -inf times 0 would be NaN.
  extra = extra || f.bias.at || f.keep.at || !(f.scale > 0);
  if (f.inner <= 64 && f.outer <= 64)
    return extra ? launch(Choice<64, true>{}) : launch(Choice<64, false>{});
  return extra ? launch(Choice<128, true>{}) : launch(Choice<128, false>{});
}

template <class T> bool too_large(const Attention<T> &f) { // the kernels count in int
  const index blocks = pieces(f.rows, 64) + pieces(f.keys, 64);
  return too_wide(f) || too_large(f.rows, f.keys, f.lead.count) || f.lead.count * blocks > most;
}

template <int D, bool EXTRA> constexpr std::size_t grad_keys_shared() {
  using C = GradCut<D, EXTRA>;
  return 2 * C::numbers(2) + 4 * C::BN * sizeof(float);
}

template <int D> constexpr std::size_t most_shared() {
  return std::max(grad_keys_shared<D, true>(), grad_keys_shared<D, false>());
}

// The gradient of the keys is the pass that asks for most.
template <class T> std::size_t shared_of(const Attention<T> &f) {
  return f.inner <= 64 && f.outer <= 64 ? most_shared<64>() : most_shared<128>();
}

template <class Kind> Status attention_of(const Attention<typename Kind::Number> &f, void *stream) {
  if (too_large(f))
    TRY(cudaErrorInvalidValue);
  return by_choice(f, false, [&](auto choice) {
    constexpr int D = decltype(choice)::D;
    constexpr bool EXTRA = decltype(choice)::EXTRA;
    using C = ForwardCut<D, EXTRA>;
    auto kernel = attend_mma<Kind, D, EXTRA>;
    return launch_attention(kernel, mma_threads, f.lead.count * pieces(f.rows, C::BM),
                            2 * C::numbers(1), stream, f);
  });
}

template <class Kind>
Status attention_grad_of(const AttentionGrad<typename Kind::Number> &p, void *workspace,
                         void *stream) {
  const auto &f = p.forward;
  if (too_large(f))
    TRY(cudaErrorInvalidValue);
  float *both = static_cast<float *>(workspace);
  PASS(launch_grad_sums(p, both, stream));
  return by_choice(f, p.gs.at, [&](auto choice) -> Status {
    constexpr int D = decltype(choice)::D;
    constexpr bool EXTRA = decltype(choice)::EXTRA;
    using C = GradCut<D, EXTRA>;
    auto queries = attend_grad_queries_mma<Kind, D, EXTRA>;
    auto keys = attend_grad_keys_mma<Kind, D, EXTRA>;
    PASS(launch_attention(queries, mma_threads, f.lead.count * pieces(f.rows, C::BM),
                          2 * C::numbers(2), stream, p, both));
    return launch_attention(keys, mma_threads, f.lead.count * pieces(f.keys, C::BM),
                            grad_keys_shared<D, EXTRA>(), stream, p, both);
  });
}

template <class T> std::size_t grad_sums_space(const AttentionGrad<T> &p) {
  return sizeof(float) * p.forward.lead.count * p.forward.rows;
}

} // namespace tinygrad_ai::cuda
