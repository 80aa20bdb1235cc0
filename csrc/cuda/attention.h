// What the host asks of attention's kernels: the structs are those of the CPU's kernels
// (../table.h), for float, double, bf16 and f16. Nothing here allocates or waits.

#pragma once

#include "../table.h"
#include "linear.h"

namespace tinygrad_ai {

template <> struct LogSum<cuda::bf16> {
  using type = float;
};
template <> struct LogSum<cuda::f16> {
  using type = float;
};

namespace cuda {

constexpr int most_inner = 128; // numbers of a head; more are an error (cudaErrorInvalidValue)

template <class T> Status attention(const Attention<T> &, void *stream);
// Bytes of shared memory that a block asks for, in the pass that asks for most.
template <class T> std::size_t attention_shared(const Attention<T> &);
template <class T> std::size_t attention_grad_space(const AttentionGrad<T> &); // bytes
template <class T> Status attention_grad(const AttentionGrad<T> &, void *workspace, void *stream);

} // namespace cuda
} // namespace tinygrad_ai
