// Attention's kernels for Python. A stack of matrices comes as its address and its steps in
// elements: one for each leading dimension, then between rows and columns.

#include <array>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

#include "attention.h"
#include "bindings.h"

namespace tinygrad_ai::cuda {
namespace {

using Sizes = std::vector<index>;
using Placed = std::pair<Address, Sizes>; // (0, []) where there is none

Lead lead_of(const Sizes &sizes) {
  if (sizes.size() > most_lead)
    refuse("expected at most 6 leading dimensions");
  Lead lead{static_cast<int>(sizes.size()), 1, {}};
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    check_sizes({sizes[d]});
    lead.size[d] = sizes[d], lead.count *= sizes[d];
  }
  return lead;
}

template <class T> Stack<T> stack_of(const Placed &placed, const Lead &lead) {
  Stack<T> s{};
  if (!placed.first)
    return s;
  const Sizes &steps = placed.second;
  if (steps.size() != static_cast<std::size_t>(lead.ndim) + 2)
    refuse("expected a step for each leading dimension, for rows and for columns");
  s.at = at<T>(placed.first), s.row = steps[lead.ndim], s.col = steps[lead.ndim + 1];
  std::copy(steps.begin(), steps.begin() + lead.ndim, s.lead);
  return s;
}

struct Forward { // the arguments of `attention`, before their type is known
  Sizes lead;
  Placed q, k, v, bias, keep, y;
  Address lse;
  std::array<index, 4> sizes; // rows, keys, inner, outer
  double scale;
  bool causal;
  double grow;

  template <class T> Attention<T> as() const {
    const auto [rows, keys, inner, outer] = sizes;
    check_sizes({rows, keys, inner, outer});
    const Lead l = lead_of(lead);
    return {l,
            stack_of<const T>(q, l),
            stack_of<const T>(k, l),
            stack_of<const T>(v, l),
            stack_of<const T>(bias, l),
            stack_of<const unsigned char>(keep, l),
            stack_of<T>(y, l),
            at<typename LogSum<T>::type>(lse),
            rows,
            keys,
            inner,
            outer,
            scale,
            grow,
            causal};
  }
};

struct Backward {
  Forward forward;
  Placed g, gq, gk, gv, gs;
  Address space, stream;

  template <class T> AttentionGrad<T> as() const {
    const Lead l = lead_of(forward.lead);
    return {forward.as<T>(),    stack_of<const T>(g, l), stack_of<T>(gq, l),
            stack_of<T>(gk, l), stack_of<T>(gv, l),      stack_of<T>(gs, l)};
  }
};

// f(a number of that type)
template <class F> auto by_dtype(Dtype dtype, const F &f) {
  switch (dtype) {
  case Dtype::float32: return f(static_cast<float *>(nullptr));
  case Dtype::float64: return f(static_cast<double *>(nullptr));
  case Dtype::float16: return f(static_cast<f16 *>(nullptr));
  case Dtype::bfloat16: return f(static_cast<bf16 *>(nullptr));
  }
  refuse("expected a dtype of this module");
}

void forward(Dtype dtype, const Forward &p, Address stream) {
  check(by_dtype(dtype, [&](auto *type) {
    return attention(p.as<std::remove_pointer_t<decltype(type)>>(), stream_of(stream));
  }));
}

void backward(Dtype dtype, const Backward &p) {
  check(by_dtype(dtype, [&](auto *type) {
    return attention_grad(p.as<std::remove_pointer_t<decltype(type)>>(), at<void>(p.space),
                          stream_of(p.stream));
  }));
}

index space_of(Dtype dtype, index count, index rows) {
  check_sizes({count, rows});
  return by_dtype(dtype, [&](auto *type) {
    AttentionGrad<std::remove_pointer_t<decltype(type)>> p{};
    p.forward.lead.count = count, p.forward.rows = rows;
    return static_cast<index>(attention_grad_space(p));
  });
}

index shared_of(Dtype dtype, index inner, index outer) {
  check_sizes({inner, outer});
  return by_dtype(dtype, [&](auto *type) {
    Attention<std::remove_pointer_t<decltype(type)>> p{};
    p.inner = inner, p.outer = outer;
    return static_cast<index>(attention_shared(p));
  });
}

} // namespace

void add_attention(py::module_ &m) {
  m.def(
      "attention",
      [](Dtype dtype, Sizes lead, Placed q, Placed k, Placed v, Placed bias, Placed keep, Placed y,
         Address lse, std::array<index, 4> sizes, double scale, bool causal, double grow,
         Address stream) {
        forward(dtype, {lead, q, k, v, bias, keep, y, lse, sizes, scale, causal, grow}, stream);
      },
      "y = softmax(scale q kᵀ + bias) v, and lse = log Σ exp of each row of scores (float32 for "
      "numbers of 16 bits); sizes are (rows, keys, inner, outer).",
      "dtype"_a, "lead"_a, "q"_a, "k"_a, "v"_a, "bias"_a, "keep"_a, "y"_a, "lse"_a, "sizes"_a,
      "scale"_a, "causal"_a, "grow"_a, "stream"_a);
  m.def(
      "attention_grad",
      [](Dtype dtype, Sizes lead, Placed q, Placed k, Placed v, Placed bias, Placed keep, Placed y,
         Address lse, std::array<index, 4> sizes, double scale, bool causal, double grow, Placed g,
         Placed gq, Placed gk, Placed gv, Placed gs, Address space, Address stream) {
        backward(dtype, {{lead, q, k, v, bias, keep, y, lse, sizes, scale, causal, grow},
                         g,
                         gq,
                         gk,
                         gv,
                         gs,
                         space,
                         stream});
      },
      "The gradients of q, k, v and, where gs is a place, of the scores.", "dtype"_a, "lead"_a,
      "q"_a, "k"_a, "v"_a, "bias"_a, "keep"_a, "y"_a, "lse"_a, "sizes"_a, "scale"_a, "causal"_a,
      "grow"_a, "g"_a, "gq"_a, "gk"_a, "gv"_a, "gs"_a, "space"_a, "stream"_a);
  m.def("attention_grad_space", &space_of,
        "Bytes of workspace that attention_grad needs for `count` heads.", "dtype"_a, "count"_a,
        "rows"_a);
  m.def("attention_shared", &shared_of,
        "Bytes of shared memory that a block asks for, in the pass that asks for most.", "dtype"_a,
        "inner"_a, "outer"_a);
  m.attr("most_inner") = most_inner;
}

} // namespace tinygrad_ai::cuda
