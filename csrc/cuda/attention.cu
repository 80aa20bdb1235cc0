// Launchers of attention.cuh and attention_grad.cuh: float and double, without tensor cores.

#include "attention_grad.cuh"
#include "attention_launch.cuh"

namespace tinygrad_ai::cuda {

// `inner_tiles` and `outer_tiles` rows of so many numbers, and `scores` tiles of them.
template <class T>
std::size_t attend_shared(const Attention<T> &s, int inner_tiles, int outer_tiles, int scores) {
  return sizeof(T) * tile *
         (inner_tiles * step_of(s.inner) + outer_tiles * step_of(s.outer) + scores * tile);
}

template <class T> std::size_t attention_shared(const Attention<T> &s) {
  return attend_shared(s, 2, 2, 2); // attend_grad_keys
}

template <class T> Status attention(const Attention<T> &s, void *stream) {
  if (too_wide(s))
    TRY(cudaErrorInvalidValue);
  auto kernel = s.outer > 64 ? attend<T, 4> : attend<T, 2>;
  return launch_attention(kernel, attend_threads<T>, s.lead.count * pieces(s.rows, tile),
                          attend_shared(s, 2, 1, 1), stream, s);
}

template <class T> std::size_t attention_grad_space(const AttentionGrad<T> &p) {
  return sizeof(T) * p.forward.lead.count * p.forward.rows;
}

template <class T> Status attention_grad(const AttentionGrad<T> &p, void *workspace, void *stream) {
  const Attention<T> &f = p.forward;
  if (too_wide(f))
    TRY(cudaErrorInvalidValue);
  T *both = static_cast<T *>(workspace);
  const bool wide = f.inner > 64 || f.outer > 64;
  PASS(launch_grad_sums(p, both, stream));
  auto queries = wide ? attend_grad_queries<T, 4> : attend_grad_queries<T, 2>;
  PASS(launch_attention(queries, attend_threads<T>, f.lead.count * pieces(f.rows, tile),
                        attend_shared(f, 2, 2, 1), stream, p, both));
  auto keys = wide ? attend_grad_keys<T, 4> : attend_grad_keys<T, 2>;
  return launch_attention(keys, attend_threads<T>, f.lead.count * pieces(f.keys, tile),
                          attention_shared(f), stream, p, both);
}

#define FOR(T)                                                                                     \
  template Status attention(const Attention<T> &, void *);                                         \
  template std::size_t attention_shared(const Attention<T> &);                                     \
  template std::size_t attention_grad_space(const AttentionGrad<T> &);                             \
  template Status attention_grad(const AttentionGrad<T> &, void *, void *);

FOR(float)
FOR(double)

} // namespace tinygrad_ai::cuda
