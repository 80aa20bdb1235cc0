// Copies of a product's sides in the order in which its tiles read them.

#pragma once

#include "elementwise.h"

namespace tinygrad_ai::ISA {

// A tile has MR rows and two vectors of columns, as many as registers hold.
template <class T> struct Shape {
  static constexpr int W = Vec<T>::width;
#if VEC_BYTES == 64
  static constexpr int MR = 14;
#elif defined(__aarch64__)
  static constexpr int MR = 10;
#else
  static constexpr int MR = 6;
#endif
  static constexpr int NR = 2 * W;
  static constexpr index KC = 3200 / sizeof(T); // a panel of a stays in the first cache
  static constexpr index MC = MR * 64;
  static constexpr index GROUP = MR * 8; // rows of a that are packed together
  static constexpr index NC = NR * 5;    // a block of b stays in the second
};

// W rows as they lie, or fewer, into panel[k][row], W steps along k at a time.
template <class T>
void pack_rows(const T *a, index a_row, index rows, index kc, T *panel) {
  using V = typename Vec<T>::type;
  constexpr int W = Vec<T>::width, G = (Shape<T>::MR + W - 1) / W;
  index k = 0;
  for (; k + W <= kc; k += W) {
    V r[G][W];
    for (int g = 0; g < G; ++g) {
      UNROLL for (int i = 0; i < W; ++i) {
        r[g][i] = g * W + i < rows ? load<V>(a + (g * W + i) * a_row + k) : V{};
      }
      transpose(r[g]);
    }
    // A store may reach into the next step's place: that one is written after it.
    UNROLL for (int s = 0; s < W; ++s) UNROLL for (int g = 0; g < G; ++g) {
      if (g * W < rows)
        store(panel + (k + s) * rows + g * W, r[g][s]);
    }
  }
  for (; k < kc; ++k)
    for (index i = 0; i < rows; ++i)
      panel[k * rows + i] = a[i * a_row + k];
}

// n numbers that lie side by side, in panels of MR, each of kc steps; this is step k.
template <class T> ALWAYS_INLINE void deal(const T *from, index n, index k, index kc, T *panel) {
  constexpr index MR = Shape<T>::MR;
  for (; n >= MR; n -= MR, from += MR, panel += MR * kc)
    __builtin_memcpy(panel + k * MR, from, MR * sizeof(T));
  for (index i = 0; i < n; ++i)
    panel[k * n + i] = from[i];
}

// Rows [row, row + n) of a and kc steps along k into panels; times f'(v), and summed if asked.
// `strip` is room for MR rows of kc numbers.
template <class T>
void pack_a(const Product<T> &p, index row, index n, index k0, index kc, T *panel, T *strip,
            bool sum) {
  constexpr index MR = Shape<T>::MR;
  const T *a = p.a + row * p.a_row + k0 * p.a_col;
  const T *v = p.v ? p.v + row * p.a_row + k0 * p.a_col : nullptr;
  if (p.a_col == 1 && !sum) {
    for (index i = 0; i < n; i += MR, panel += MR * kc) {
      const index rows = smaller<index>(MR, n - i);
      if (!v) {
        pack_rows(a + i * p.a_row, p.a_row, rows, kc, panel);
        continue;
      }
      for (index r = 0; r < rows; ++r)
        slopes(p.slope, a + (i + r) * p.a_row, v + (i + r) * p.a_row, strip + r * kc, kc);
      pack_rows<T>(strip, kc, rows, kc, panel);
    }
    return;
  }
  if (v && p.a_row == 1 && p.a_col == n && n <= MR) { // all of it lies in one piece
    slopes(p.slope, a, v, strip, n * kc);
    a = strip, v = nullptr;
  }
  for (index k = 0; k < kc; ++k) { // one step of all rows at a time
    const T *from = a + k * p.a_col;
    if (p.a_row != 1) {
      for (index i = 0; i < n; ++i)
        strip[i] = from[i * p.a_row];
      from = strip;
    }
    if (v) {
      const T *at = v + k * p.a_col;
      if (p.a_row != 1) {
        for (index i = 0; i < n; ++i)
          strip[n + i] = at[i * p.a_row];
        at = strip + n;
      }
      slopes(p.slope, from, at, strip, n);
      from = strip;
    }
    if (sum)
      for (index i = 0; i < n; ++i)
        p.row_sum[row + i] += from[i];
    deal(from, n, k, kc, panel);
  }
}

// Columns [col, col + cols) of b into panel[k][width], zeros where there are none.
template <class T>
void pack_b(const Product<T> &p, index col, index cols, index width, index k0, index kc, T *panel) {
  using V = typename Vec<T>::type;
  constexpr int W = Vec<T>::width;
  const T *b = p.b + k0 * p.b_row + col * p.b_col;
  if (p.b_col == 1 && cols == width) {
    for (index k = 0; k < kc; ++k)
      for (index j = 0; j < width; j += W)
        store(panel + k * width + j, load<V>(b + k * p.b_row + j));
    return;
  }
  if (p.b_row == 1 && cols == width) {
    for (index j = 0; j < width; j += W) {
      index k = 0;
      for (; k + W <= kc; k += W) {
        V r[W];
        UNROLL for (int i = 0; i < W; ++i) r[i] = load<V>(b + (j + i) * p.b_col + k);
        transpose(r);
        UNROLL for (int i = 0; i < W; ++i) store(panel + (k + i) * width + j, r[i]);
      }
      for (; k < kc; ++k)
        for (int i = 0; i < W; ++i)
          panel[k * width + j + i] = b[(j + i) * p.b_col + k];
    }
    return;
  }
  for (index k = 0; k < kc; ++k)
    for (index j = 0; j < width; ++j)
      panel[k * width + j] = j < cols ? b[k * p.b_row + j * p.b_col] : T(0);
}

} // namespace tinygrad_ai::ISA
