// Activations on whole arrays: values, and gradients through them. And dropout.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

// Calls f with the struct of an activation.
template <class F> ALWAYS_INLINE void with(Act act, const F &f) {
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

template <class T> __attribute__((noinline)) void values(Act act, const T *x, T *y, index n) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  with(act, [&](auto f) {
    index i = 0;
    for (; i + w <= n; i += w)
      store(y + i, f.value(load<V>(x + i)));
    if (i < n)
      store_part(y + i, f.value(load_part<V>(x + i, n - i, T(0))), n - i);
  });
}

template <class T>
__attribute__((noinline)) void slopes(Act act, const T *g, const T *v, T *y, index n) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  with(act, [&](auto f) {
    index i = 0;
    for (; i + w <= n; i += w)
      store(y + i, load<V>(g + i) * f.slope(load<V>(v + i)));
    if (i < n) {
      V part = load_part<V>(g + i, n - i, T(0)) * f.slope(load_part<V>(v + i, n - i, T(0)));
      store_part(y + i, part, n - i);
    }
  });
}

constexpr index element_grain = 16384; // fewer elements than this are not worth a thread

template <class T> void activate(const Elements<T> &e, int threads) {
  parallel(e.count, 64, element_grain, threads,
           [&](index i, index end) { values(e.act, e.x + i, e.y + i, end - i); });
}

template <class T> void act_grad(const Elements<T> &e, int threads) {
  parallel(e.count, 64, element_grain, threads,
           [&](index i, index end) { slopes(e.act, e.g + i, e.x + i, e.y + i, end - i); });
}

// x times 0, not 0: infinities and NaN are not dropped, as in PyTorch.
template <class T> void dropout(const Dropout<T> &s, int threads) {
  parallel(s.count, 64, element_grain, threads, [&](index begin, index end) {
    const T scale = T(s.scale);
    const T *__restrict x = s.x;
    const unsigned char *__restrict keep = s.keep;
    T *__restrict y = s.y;
    for (index i = begin; i < end; ++i)
      y[i] = x[i] * (keep[i] ? scale : T(0));
  });
}

} // namespace tinygrad_ai::ISA
