// 16-bit numbers as they lie in memory; to compute with them they are made wide. Own types: the
// toolkit's headers for them are not there under NVRTC, nor in the simulator.

#pragma once

#include "ptx.cuh"

namespace tinygrad_ai::cuda {

struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};

template <class T> struct WideOf {
  using type = float;
};
template <> struct WideOf<double> {
  using type = double;
};
template <class T> using Wide = typename WideOf<T>::type; // what T is computed in

ON_DEVICE float widen(float x) { return x; }
ON_DEVICE double widen(double x) { return x; }
ON_DEVICE float widen(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
ON_DEVICE float widen(f16 x) { return float_of_f16(x.bits); }

ON_DEVICE void narrow(float x, float &to) { to = x; }
ON_DEVICE void narrow(double x, double &to) { to = x; }
ON_DEVICE void narrow(float x, bf16 &to) { to.bits = bf16_of_float(x); }
ON_DEVICE void narrow(float x, f16 &to) { to.bits = f16_of_float(x); }

} // namespace tinygrad_ai::cuda
