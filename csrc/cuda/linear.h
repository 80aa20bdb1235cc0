// What the host asks of the CUDA kernels of a linear layer: plain structs of pointers and sizes,
// and a stream. Nothing here allocates, waits for the GPU or keeps a state. The kernels read the
// same structs, so this header includes nothing that NVRTC lacks.

#pragma once

#include "../acts.h"

namespace tinygrad_ai::cuda {

// std::ptrdiff_t, as in ../table.h; NVRTC lacks its header.
using index = decltype(static_cast<char *>(nullptr) - static_cast<char *>(nullptr));

struct bf16; // 16-bit numbers: half.cuh
struct f16;

struct Status { // a cudaError_t, and where it came from; 0: success
  int code = 0;
  const char *file = "";
  int line = 0;
};

// c = f(a b + bias), (m, n) from (m, k) and (k, n). All matrices lie by rows, without gaps:
//
//   nt: a is (m, k), b is (n, k)     y = f(x wᵀ + b)
//   nn: a is (m, k), b is (k, n)     gx = gz w
//   tn: a is (k, m), b is (k, n)     gw = gzᵀ x
enum class Layout { nt, nn, tn };

template <class T> struct LinearProduct {
  Layout layout;
  const T *a, *b, *bias; // bias is (n), or nullptr
  T *c, *z;              // z keeps a b + bias, or is nullptr
  index m, n, k;
  Act act;
};

// The ladder, from the plainest to the fastest.
template <class T> Status tiled(const LinearProduct<T> &, void *stream);       // float, double; nt
template <class T> Status blocked(const LinearProduct<T> &, void *stream);     // float, double
template <class T> Status tensor_core(const LinearProduct<T> &, void *stream); // float, bf16, f16
Status hopper(const LinearProduct<bf16> &, void *stream);                      // nt

// gz = g f'(v) and gb, the sums of gz's columns, always in the same order. v is the output where
// the slope follows from it, else z, and is not read without an activation.
template <class T> struct ActGrad {
  const T *g, *v;
  T *gz;       // may be g or v, or nullptr if only the sums are wanted
  T *gb;       // (columns), or nullptr
  void *space; // act_grad_space bytes, or nullptr without gb
  index rows, columns;
  Act act;
};

template <class T> index act_grad_space(index rows, index columns);
template <class T> Status act_grad(const ActGrad<T> &, void *stream); // float, double, bf16, f16

} // namespace tinygrad_ai::cuda
