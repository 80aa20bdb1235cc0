// Kernels that look at whole rows: softmax and cross entropy.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

ALWAYS_INLINE float log_of(float x) { return __builtin_logf(x); }
ALWAYS_INLINE double log_of(double x) { return __builtin_log(x); }

template <class T> constexpr T lowest() { return -T(__builtin_inf()); }

// The largest number of a row, NaN if there is one.
template <class T> ALWAYS_INLINE T top_of(const T *x, index n) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  V top = V{} + lowest<T>();
  index i = 0;
  for (; i + w <= n; i += w) {
    V v = load<V>(x + i);
    top = select((v > top) | (v != v), v, top);
  }
  T best = max_of(top);
  for (; i < n; ++i)
    best = x[i] > best || x[i] != x[i] ? x[i] : best;
  return best;
}

// y = e^(x - shift), and the sum of it; y may be nullptr.
template <class T> ALWAYS_INLINE T exp_sum(const T *x, T *y, index n, T shift) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  V total{};
  index i = 0;
  for (; i + w <= n; i += w) {
    V e = exp_of(load<V>(x + i) - shift);
    if (y)
      store(y + i, e);
    total += e;
  }
  T sum = sum_of(total);
  if (i < n) {
    V e = exp_of(load_part<V>(x + i, n - i, lowest<T>()) - shift);
    if (y)
      store_part(y + i, e, n - i);
    for (index j = 0; j < n - i; ++j)
      sum += e[j];
  }
  return sum;
}

template <class T> index grain(index width) { return 1 + 4096 / (width > 0 ? width : 1); }

template <class T> void cross_entropy(const CrossEntropy<T> &s, int threads) {
  parallel(s.rows, 1, grain<T>(s.classes), threads, [&](index begin, index end) {
    for (index r = begin; r < end; ++r) {
      const T *x = s.x + r * s.classes;
      T top = top_of(x, s.classes);
      T lse = log_of(exp_sum<T>(x, nullptr, s.classes, top)) + top;
      T loss = lse - x[s.target[r]];
      s.lse[r] = lse;
      s.loss[r] = s.weight ? loss * s.weight[r] : loss;
    }
  });
  if (!s.total)
    return;
  double sum = 0; // in order, so that it does not depend on the threads
  for (index r = 0; r < s.rows; ++r)
    sum += s.loss[r];
  *s.total = static_cast<T>(sum * s.scale);
}

template <class T> void cross_entropy_grad(const CrossEntropyGrad<T> &s, int threads) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  parallel(s.rows, 1, grain<T>(s.classes), threads, [&](index begin, index end) {
    for (index r = begin; r < end; ++r) {
      const T *x = s.x + r * s.classes;
      T *y = s.y + r * s.classes;
      T scale = s.g[r * s.g_step] * T(s.scale);
      scale = s.weight ? scale * s.weight[r] : scale;
      exp_sum(x, y, s.classes, s.lse[r]);
      y[s.target[r]] -= 1;
      index i = 0;
      for (; i + w <= s.classes; i += w)
        store(y + i, load<V>(y + i) * scale);
      for (; i < s.classes; ++i)
        y[i] *= scale;
    }
  });
}

template <class T> void softmax(const Rows<T> &s, int threads) {
  parallel(s.count, 1, grain<T>(s.width), threads, [&](index begin, index end) {
    for (index r = begin; r < end; ++r) {
      const T *x = s.x + r * s.width;
      T *y = s.y + r * s.width;
      T sum = exp_sum(x, y, s.width, top_of(x, s.width));
      for (index i = 0; i < s.width; ++i)
        y[i] /= sum;
    }
  });
}

template <class T> void log_softmax(const Rows<T> &s, int threads) {
  parallel(s.count, 1, grain<T>(s.width), threads, [&](index begin, index end) {
    for (index r = begin; r < end; ++r) {
      const T *x = s.x + r * s.width;
      T *y = s.y + r * s.width;
      T top = top_of(x, s.width);
      T lse = log_of(exp_sum<T>(x, nullptr, s.width, top));
      for (index i = 0; i < s.width; ++i)
        y[i] = x[i] - top - lse; // top first: the sum of both may round lse away
    }
  });
}

} // namespace tinygrad_ai::ISA
