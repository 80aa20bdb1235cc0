// Kernels that look at whole rows: softmax and cross entropy.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

ALWAYS_INLINE float log_of(float x) { return __builtin_logf(x); }
ALWAYS_INLINE double log_of(double x) { return __builtin_log(x); }

template <class T> constexpr T lowest() { return -T(__builtin_inf()); }

// The largest numbers of n in whole vectors, place by place. NaN does not count: it comes out of
// the exponentials' sum.
template <class T> ALWAYS_INLINE typename Vec<T>::type tops(const T *x, index n) {
  using V = typename Vec<T>::type;
  V top = V{} + lowest<T>();
  for (index i = 0; i < n; i += Vec<T>::width) {
    V v = load<V>(x + i);
    top = select(v > top, v, top);
  }
  return top;
}

// y = e^(x - shift) of n in whole vectors, and their sums, place by place; y may be nullptr.
template <class T> ALWAYS_INLINE typename Vec<T>::type exps(const T *x, T *y, index n, T shift) {
  using V = typename Vec<T>::type;
  V total{};
  for (index i = 0; i < n; i += Vec<T>::width) {
    V e = exp_down(load<V>(x + i) - shift);
    if (y)
      store(y + i, e);
    total += e;
  }
  return total;
}

// The largest number of a row.
template <class T> ALWAYS_INLINE T top_of(const T *x, index n) {
  index i = n / Vec<T>::width * Vec<T>::width;
  T best = max_of(tops(x, i));
  for (; i < n; ++i)
    best = x[i] > best ? x[i] : best;
  return best;
}

// y = e^(x - shift), and the sum of it; y may be nullptr.
template <class T> ALWAYS_INLINE T exp_sum(const T *x, T *y, index n, T shift) {
  using V = typename Vec<T>::type;
  const index i = n / Vec<T>::width * Vec<T>::width;
  T sum = sum_of(exps(x, y, i, shift));
  if (i < n) {
    V e = exp_down(load_part<V>(x + i, n - i, lowest<T>()) - shift);
    if (y)
      store_part(y + i, e, n - i);
    for (index j = 0; j < n - i; ++j)
      sum += e[j];
  }
  return sum;
}

// Rows that are worth a thread: a few thousand numbers, or fewer where each row is short.
constexpr index grain(index width) { return 1 + 4096 / (width > 64 ? width : 64); }

// f(r) for each row.
template <class F> void by_row(index rows, index width, int threads, const F &f) {
  parallel(rows, 1, grain(width), threads, [&](index r, index end) {
    for (; r < end; ++r)
      f(r);
  });
}

template <class T> ALWAYS_INLINE T weight_of(const Labels<T> &labels, index row) {
  const std::int64_t label = labels.target[row];
  return label == labels.ignore ? T(0) : labels.weight ? labels.weight[label] : T(1);
}

// In order and in double precision: a sum that does not depend on the threads.
template <class F> double sum_over(index rows, const F &f) {
  double sum = 0;
  for (index r = 0; r < rows; ++r)
    sum += f(r);
  return sum;
}

template <class T> double total_weight(const Labels<T> &labels, index rows) {
  return sum_over(rows, [&](index r) { return weight_of(labels, r); });
}

template <class T> void cross_entropy(const CrossEntropy<T> &s, int threads) {
  by_row(s.rows, s.classes, threads, [&](index r) {
    const std::int64_t label = s.labels.target[r];
    s.loss[r] = 0;
    if (label == s.labels.ignore)
      return;
    const T *x = s.x + r * s.classes;
    const T top = top_of(x, s.classes); // not added to log Σ, which a large one would round away
    const T rest = log_of(exp_sum<T>(x, nullptr, s.classes, top));
    s.loss[r] = (rest - (x[label] - top)) * weight_of(s.labels, r);
  });
  if (!s.total)
    return;
  const double sum = sum_over(s.rows, [&](index r) { return s.loss[r]; });
  *s.total = static_cast<T>(s.mean ? sum / total_weight(s.labels, s.rows) : sum);
}

template <class T> void cross_entropy_grad(const CrossEntropyGrad<T> &s, int threads) {
  using V = typename Vec<T>::type;
  const T share = s.mean ? T(1 / total_weight(s.labels, s.rows)) : T(1);
  by_row(s.rows, s.classes, threads, [&](index r) {
    const T *x = s.x + r * s.classes;
    T *y = s.y + r * s.classes;
    const std::int64_t label = s.labels.target[r];
    if (label == s.labels.ignore) {
      __builtin_memset(y, 0, s.classes * sizeof(T));
      return;
    }
    const T scale = s.g[r * s.g_step] * weight_of(s.labels, r) * share;
    const T part = scale / exp_sum(x, y, s.classes, top_of(x, s.classes));
    over<T>(s.classes, [&](auto size, index i) { put(y + i, get<V>(y + i, size) * part, size); });
    y[label] -= scale;
  });
}

template <class T> void softmax(const Rows<T> &s, int threads) {
  by_row(s.count, s.width, threads, [&](index r) {
    const T *x = s.x + r * s.width;
    T *y = s.y + r * s.width;
    const T scale = 1 / exp_sum(x, y, s.width, top_of(x, s.width));
    for (index i = 0; i < s.width; ++i)
      y[i] *= scale;
  });
}

template <class T> void log_softmax(const Rows<T> &s, int threads) {
  by_row(s.count, s.width, threads, [&](index r) {
    const T *x = s.x + r * s.width;
    T *y = s.y + r * s.width;
    T top = top_of(x, s.width);
    T lse = log_of(exp_sum<T>(x, nullptr, s.width, top));
    for (index i = 0; i < s.width; ++i)
      y[i] = x[i] - top - lse; // top first: the sum of both may round lse away
  });
}

// gx = y (g - Σ g y)
template <class T> void softmax_grad(const RowsGrad<T> &s, int threads) {
  using V = typename Vec<T>::type;
  by_row(s.count, s.width, threads, [&](index r) {
    const T *g = s.g + r * s.width, *y = s.y + r * s.width;
    T *gx = s.gx + r * s.width;
    const T both = sum_over<T>(
        s.width, [&](auto size, index i) { return get<V>(g + i, size) * get<V>(y + i, size); });
    for (index i = 0; i < s.width; ++i)
      gx[i] = y[i] * (g[i] - both);
  });
}

// gx = g - eʸ Σ g
template <class T> void log_softmax_grad(const RowsGrad<T> &s, int threads) {
  using V = typename Vec<T>::type;
  by_row(s.count, s.width, threads, [&](index r) {
    const T *g = s.g + r * s.width, *y = s.y + r * s.width;
    T *gx = s.gx + r * s.width;
    const T all = sum_over<T>(s.width, [&](auto size, index i) { return get<V>(g + i, size); });
    over<T>(s.width, [&](auto size, index i) {
      put(gx + i, get<V>(g + i, size) - exp_down(get<V>(y + i, size)) * all, size);
    });
  });
}

} // namespace tinygrad_ai::ISA
