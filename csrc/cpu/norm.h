// Layer normalisation: rows brought to mean 0 and variance 1.

#pragma once

#include "rows.h"

namespace tinygrad_ai::ISA {

template <class T> void layer_norm(const LayerNorm<T> &s, int threads) {
  using V = typename Vec<T>::type;
  by_row(s.count, s.width, threads, [&](index r) {
    const T *x = s.x + r * s.width;
    T *y = s.y + r * s.width;
    const T mean =
        sum_over<T>(s.width, [&](auto size, index i) { return get<V>(x + i, size); }) / T(s.width);
    const T squares = sum_over<T>(s.width, [&](auto size, index i) {
      V d = get<V>(x + i, size, mean) - mean;
      return d * d;
    });
    const T rstd = 1 / root(squares / T(s.width) + T(s.eps));
    s.mean[r] = mean;
    s.rstd[r] = rstd;
    over<T>(s.width, [&](auto size, index i) {
      V v = (get<V>(x + i, size) - mean) * rstd;
      v = s.w ? v * get<V>(s.w + i, size) : v;
      put(y + i, s.b ? v + get<V>(s.b + i, size) : v, size);
    });
  });
}

constexpr index padded(index width) { return (width + 63) / 64 * 64; }

// Each thread adds up gw and gb in rows of its own.
template <class T> std::size_t layer_norm_space(const LayerNormGrad<T> &s, int threads) {
  return sizeof(T) * 2 * padded(s.width) * threads;
}

// With u = g w and x̂ = (x - mean) rstd:   gx = (u - mean u - x̂ mean(u x̂)) rstd,
// gw = Σ g x̂ and gb = Σ g over the rows.
template <class T>
void layer_norm_rows(const LayerNormGrad<T> &s, Range rows, T *gw, T *gb) {
  using V = typename Vec<T>::type;
  for (index i = 0; i < s.width; ++i)
    gw[i] = gb[i] = 0;
  for (index r = rows.begin; r < rows.end; ++r) {
    const T *g = s.g + r * s.width, *x = s.x + r * s.width;
    const T mean = s.mean[r], rstd = s.rstd[r];
    V plain{}, both{};
    over<T>(s.width, [&](auto size, index i) {
      V gi = get<V>(g + i, size), hat = (get<V>(x + i, size) - mean) * rstd;
      put(gb + i, get<V>(gb + i, size) + gi, size);
      put(gw + i, get<V>(gw + i, size) + gi * hat, size);
      V u = s.w ? gi * get<V>(s.w + i, size) : gi;
      plain += u;
      both += u * hat;
    });
    const T m1 = sum_of(plain) / T(s.width), m2 = sum_of(both) / T(s.width);
    T *gx = s.gx + r * s.width;
    over<T>(s.width, [&](auto size, index i) {
      V gi = get<V>(g + i, size), hat = (get<V>(x + i, size) - mean) * rstd;
      V u = s.w ? gi * get<V>(s.w + i, size) : gi;
      put(gx + i, (u - m1 - hat * m2) * rstd, size);
    });
  }
}

template <class T> void layer_norm_grad(const LayerNormGrad<T> &s, void *workspace, int threads) {
  T *space = static_cast<T *>(workspace);
  const index wide = padded(s.width), useful = 1 + s.count / (4 * grain(s.width));
  const int n = static_cast<int>(smaller<index>(threads, useful));
  on_threads(n, [&](int t) {
    T *own = space + t * 2 * wide;
    layer_norm_rows(s, part(s.count, t, n, 1), own, own + wide);
  });
  for (index i = 0; i < s.width; ++i) {
    s.gw[i] = space[i];
    s.gb[i] = space[wide + i];
  }
  for (int t = 1; t < n; ++t) // in the order of the threads' rows: the sums are always the same
    for (index i = 0; i < s.width; ++i) {
      s.gw[i] += space[t * 2 * wide + i];
      s.gb[i] += space[t * 2 * wide + wide + i];
    }
}

} // namespace tinygrad_ai::ISA
