// Activations on whole arrays: values, and gradients through them. And dropout.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

template <class T> __attribute__((noinline)) void values(Act act, const T *x, T *y, index n) {
  using V = typename Vec<T>::type;
  with_act(act, [&](auto f) {
    over<T>(n, [&](auto size, index i) { put(y + i, f.value(get<V>(x + i, size)), size); });
  });
}

template <class T>
__attribute__((noinline)) void slopes(Act act, const T *g, const T *v, T *y, index n) {
  using V = typename Vec<T>::type;
  with_act(act, [&](auto f) {
    over<T>(n, [&](auto size, index i) {
      put(y + i, get<V>(g + i, size) * f.slope(get<V>(v + i, size)), size);
    });
  });
}

constexpr index element_grain = 16384; // fewer elements than this are not worth a thread

// work(row, column, i, n) on n elements from i on, which are of one row.
template <class T, class F> void row_by_row(const Elements<T> &e, int threads, const F &work) {
  parallel(e.count, 64, element_grain, threads, [&](index i, index end) {
    while (i < end) {
      const index row = i / e.width, column = i % e.width;
      const index n = smaller(e.width - column, end - i);
      work(row, column, i, n);
      i += n;
    }
  });
}

template <class T> void activate(const Elements<T> &e, int threads) {
  row_by_row(e, threads, [&](index row, index column, index i, index n) {
    values(e.act, e.x + row * e.x_row + column, e.y + i, n);
  });
}

template <class T> void act_grad(const Elements<T> &e, int threads) {
  row_by_row(e, threads, [&](index row, index column, index i, index n) {
    slopes(e.act, e.g + row * e.g_row + column, e.x + row * e.x_row + column, e.y + i, n);
  });
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
