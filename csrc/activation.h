// The activations a linear layer can be fused with: each one's value and slope, side by side.
//
// V is a vector of floats or doubles, or one number; exp_of, exp_down (for x <= 0), tanh_of,
// erfc_of and select come from whoever includes this. `slope` is given the output where the slope
// follows from it (relu, leaky_relu, sigmoid, tanh), else the input.

#pragma once

#ifndef DEVICE_CALL // CUDA sets what its functions need
#define DEVICE_CALL
#endif

struct None {
  template <class V> DEVICE_CALL static V value(V z) { return z; }
  template <class V> DEVICE_CALL static V slope(V) { return V{} + 1; }
};

struct Relu {
  template <class V> DEVICE_CALL static V value(V z) { return select(z < 0, V{}, z); }
  // Not v times anything, which is NaN where v is infinite. For NaN it is 1, as in PyTorch.
  template <class V> DEVICE_CALL static V slope(V v) { return select(v <= 0, V{}, V{} + 1); }
};

struct LeakyRelu {
  template <class V> DEVICE_CALL static V value(V z) {
    return select(z > 0, z, z * real_of<V>(0.01));
  }
  template <class V> DEVICE_CALL static V slope(V v) {
    V one = V{} + 1;
    return select(v > 0, one, one * real_of<V>(0.01));
  }
};

struct Sigmoid {
  template <class V> DEVICE_CALL static V value(V z) { return 1 / (1 + exp_of(-z)); }
  template <class V> DEVICE_CALL static V slope(V y) { return y * (1 - y); }
};

struct Tanh {
  template <class V> DEVICE_CALL static V value(V z) { return tanh_of(z); }
  template <class V> DEVICE_CALL static V slope(V y) { return 1 - y * y; }
};

// x Φ(x)
struct Gelu {
  template <class V> DEVICE_CALL static V cdf(V z) {
    return real_of<V>(0.5) * erfc_of(z * real_of<V>(-0.70710678118654752440));
  }
  template <class V> DEVICE_CALL static V value(V z) { return z * cdf(z); }
  template <class V> DEVICE_CALL static V slope(V z) {
    V density = real_of<V>(0.39894228040143267794) * exp_down(z * z * real_of<V>(-0.5));
    return cdf(z) + z * density;
  }
};

// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2
struct GeluTanh {
  template <class V> DEVICE_CALL static V inner(V z) {
    return tanh_of(real_of<V>(0.79788456080286535588) * (z + real_of<V>(0.044715) * z * z * z));
  }
  template <class V> DEVICE_CALL static V value(V z) {
    return real_of<V>(0.5) * z * (1 + inner(z));
  }
  template <class V> DEVICE_CALL static V slope(V z) {
    V t = inner(z);
    V rise = real_of<V>(0.79788456080286535588) * (1 + real_of<V>(0.134145) * z * z);
    return real_of<V>(0.5) * (1 + t + z * (1 - t * t) * rise);
  }
};

// x / (1 + e⁻ˣ)
struct Silu {
  template <class V> DEVICE_CALL static V value(V z) { return z * Sigmoid::value(z); }
  template <class V> DEVICE_CALL static V slope(V z) {
    V s = Sigmoid::value(z);
    return s * (1 + z * (1 - s));
  }
};

// f(activation), chosen once and not for each element.
template <class F>
DEVICE_CALL inline __attribute__((always_inline)) void with_act(Act act, const F &f) {
  switch (act) {
  case Act::none: return f(None{});
  case Act::relu: return f(Relu{});
  case Act::leaky_relu: return f(LeakyRelu{});
  case Act::sigmoid: return f(Sigmoid{});
  case Act::tanh: return f(Tanh{});
  case Act::gelu: return f(Gelu{});
  case Act::gelu_tanh: return f(GeluTanh{});
  case Act::silu: return f(Silu{});
  }
}
