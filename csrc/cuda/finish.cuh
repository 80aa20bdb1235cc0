// What happens to a sum before it is stored: bias, activation, and z kept for the backward pass.

#pragma once

#include "half.cuh"
#include "linear.h"
#include "math.cuh"

namespace tinygrad_ai::cuda {

// Not inlined: an epilogue is unrolled, and would copy all branches and series 64 times.
template <class V> __device__ NOINLINE V curved(V z, Act act) {
  switch (act) {
  case Act::leaky_relu: return LeakyRelu::value(z);
  case Act::sigmoid: return Sigmoid::value(z);
  case Act::tanh: return Tanh::value(z);
  case Act::gelu: return Gelu::value(z);
  case Act::gelu_tanh: return GeluTanh::value(z);
  case Act::silu: return Silu::value(z);
  default: return z;
  }
}

template <class V> ON_DEVICE V activated(V z, Act act) {
  if (act == Act::none)
    return z;
  return act == Act::relu ? Relu::value(z) : curved(z, act);
}

// f'(v); v is the output where the slope follows from it, else the input.
template <class V> __device__ NOINLINE V slope_of(V v, Act act) {
  switch (act) {
  case Act::relu: return Relu::slope(v);
  case Act::leaky_relu: return LeakyRelu::slope(v);
  case Act::sigmoid: return Sigmoid::slope(v);
  case Act::tanh: return Tanh::slope(v);
  case Act::gelu: return Gelu::slope(v);
  case Act::gelu_tanh: return GeluTanh::slope(v);
  case Act::silu: return Silu::slope(v);
  default: return None::slope(v);
  }
}

template <class T>
ON_DEVICE void finish(const LinearProduct<T> &p, int row, int column, Wide<T> sum) {
#ifdef PLANT_STORE_PAST_END
  if (row > p.m || column >= p.n)
#else
  if (row >= p.m || column >= p.n)
#endif
    return;
  const index at = row * p.n + column;
  const Wide<T> z = p.bias ? sum + widen(p.bias[column]) : sum;
  if (p.z)
    narrow(z, p.z[at]);
  narrow(activated(z, p.act), p.c[at]);
}

} // namespace tinygrad_ai::cuda
