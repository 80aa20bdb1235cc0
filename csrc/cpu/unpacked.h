// Products whose sides are multiplied as they lie: to copy them would cost as much as the product.

#pragma once

#include "elementwise.h"

namespace tinygrad_ai::ISA {

// MA rows of a times NB rows of b, both along k.
template <class T, int MA, int NB>
ALWAYS_INLINE void dot_tile(const T *a, index a_row, const T *b, index b_row, index k, T *out) {
  using V = typename Vec<T>::type;
  constexpr int W = Vec<T>::width, N = (MA * NB + W - 1) / W * W;
  V acc[N];
  UNROLL for (int i = 0; i < N; ++i) acc[i] = V{};
  index s = 0;
  for (; s + W <= k; s += W) {
    V bv[NB];
    UNROLL for (int j = 0; j < NB; ++j) bv[j] = load<V>(b + j * b_row + s);
    UNROLL for (int i = 0; i < MA; ++i) {
      V av = load<V>(a + i * a_row + s);
      UNROLL for (int j = 0; j < NB; ++j) acc[i * NB + j] += av * bv[j];
    }
  }
  if (s < k) {
    V bv[NB];
    UNROLL for (int j = 0; j < NB; ++j) bv[j] = load_part<V>(b + j * b_row + s, k - s, T(0));
    UNROLL for (int i = 0; i < MA; ++i) {
      V av = load_part<V>(a + i * a_row + s, k - s, T(0));
      UNROLL for (int j = 0; j < NB; ++j) acc[i * NB + j] += av * bv[j];
    }
  }
  UNROLL for (int i = 0; i < N; i += W) store(out + i, sums(acc + i));
}

template <class T, int NB, int MA>
ALWAYS_INLINE void dot_rows(index rows, const T *a, index a_row, const T *b, index b_row, index k,
                            T *out) {
  if constexpr (MA > 0) {
    if (rows == MA)
      return dot_tile<T, MA, NB>(a, a_row, b, b_row, k, out);
    dot_rows<T, NB, MA - 1>(rows, a, a_row, b, b_row, k, out);
  }
}

template <class T> void dots(const Product<T> &p, Range ri, Range rj) {
  constexpr index MA = VEC_BYTES == 64 ? 4 : 3, NB = 4;
  const Act act = p.act;
  for (index j = rj.begin; j < rj.end; j += NB) {
    const index cols = smaller<index>(NB, rj.end - j);
    for (index i = ri.begin; i < ri.end; i += MA) {
      const index rows = smaller<index>(MA, ri.end - i);
      T out[64];
      const T *a = p.a + i * p.a_row, *b = p.b + j * p.b_col;
      const bool whole = cols == NB;
      if (whole)
        dot_rows<T, NB, MA>(rows, a, p.a_row, b, p.b_col, p.k, out);
      else
        for (index c = 0; c < cols; ++c)
          dot_rows<T, 1, MA>(rows, a, p.a_row, b + c * p.b_col, p.b_col, p.k, out + c * 16);
      for (index r = 0; r < rows; ++r) {
        T *y = p.c + (i + r) * p.c_row + j;
        for (index c = 0; c < cols; ++c) {
          T z = whole ? out[r * NB + c] : out[c * 16 + r];
          y[c] = p.bias ? z + p.bias[j + c] : z;
        }
      }
    }
  }
  if (act == Act::none)
    return;
  for (index i = ri.begin; i < ri.end; ++i) {
    T *y = p.c + i * p.c_row + rj.begin;
    if (p.z)
      __builtin_memcpy(p.z + i * p.c_row + rj.begin, y, (rj.end - rj.begin) * sizeof(T));
    values(act, static_cast<const T *>(y), y, rj.end - rj.begin);
  }
}

constexpr index shortest = 4; // the longest k for `outer`

template <class T> bool by_outer(const Product<T> &p) {
  return p.k <= shortest && p.b_col == 1 && !p.add;
}

// Rows [row, row + n) of a as columns, times f'(v), and summed if asked.
template <class T>
void columns_of(const Product<T> &p, index row, index n, index step, T *columns, bool sum) {
  for (index k = 0; k < p.k; ++k) {
    T *a = columns + k * step, *v = columns + shortest * step;
    const index at = row * p.a_row + k * p.a_col;
    for (index i = 0; i < n; ++i)
      a[i] = p.a[at + i * p.a_row];
    if (p.v) {
      for (index i = 0; i < n; ++i)
        v[i] = p.v[at + i * p.a_row];
      slopes(p.slope, static_cast<const T *>(a), static_cast<const T *>(v), a, n);
    }
    for (index i = 0; i < n && sum; ++i)
      p.row_sum[row + i] += a[i];
  }
}

// y = start + Σ a[k] b[k], K rows of n numbers; start may be nullptr.
template <int K, class T>
void combine(const T *a, const T *b, index b_row, const T *start, T *y, index n) {
  using V = typename Vec<T>::type;
  constexpr index W = Vec<T>::width;
  const auto sum = [&](index j, const auto &get) {
    V total = start ? get(start + j) : V{};
    UNROLL for (int k = 0; k < K; ++k) total += a[k] * get(b + k * b_row + j);
    return total;
  };
  const auto whole = [](const T *at) { return load<V>(at); };
  index j = 0;
  for (; j + W <= n; j += W)
    store(y + j, sum(j, whole));
  if (j < n && n >= W) // the last W once more
    store(y + n - W, sum(n - W, whole));
  else if (j < n)
    store_part(y, sum(0, [n](const T *at) { return load_part<V>(at, n, T(0)); }), n);
}

template <class T> void outer(const Product<T> &p, Range ri, Range rj, bool sum) {
  constexpr index block = 256;
  constexpr decltype(&combine<1, T>) combines[] = {combine<1, T>, combine<2, T>, combine<3, T>,
                                                   combine<4, T>};
  T columns[(shortest + 1) * block], a[shortest];
  const T *b = p.b + rj.begin, *bias = p.bias ? p.bias + rj.begin : nullptr;
  const index n = rj.end - rj.begin;
  for (index first = ri.begin; first < ri.end; first += block) {
    const index rows = smaller(block, ri.end - first);
    columns_of(p, first, rows, block, columns, sum);
    for (index i = 0; i < rows; ++i) {
      T *y = p.c + (first + i) * p.c_row + rj.begin;
      for (index k = 0; k < p.k; ++k)
        a[k] = columns[k * block + i];
      combines[p.k - 1](a, b, p.b_row, bias, y, n);
      if (p.z)
        __builtin_memcpy(p.z + (y - p.c), y, n * sizeof(T));
      if (p.act != Act::none)
        values(p.act, static_cast<const T *>(y), y, n);
    }
  }
}

template <class T> bool by_dots(const Product<T> &p) {
  const index few = p.m < p.n ? p.m : p.n;
  const index enough = (few <= 4 ? 4 : 8) * Vec<T>::width; // to pay for the sums at the end
  return p.a_col == 1 && p.b_row == 1 && p.slope == Act::none && !p.row_sum && few <= 32 &&
         p.k >= enough;
}

} // namespace tinygrad_ai::ISA
