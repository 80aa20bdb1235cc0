// The matrix product, with all that a linear layer and its gradients fold into it.
//
// Three ways. `packed`: blocks of both sides are copied into panels, and a tile of the result stays
// in registers while its panels are multiplied (Goto & van de Geijn, 2008). `dots`: where both
// sides run along k and one of them has few rows, copying would cost as much as the product: a few
// rows of each are multiplied as they lie, and their vectors summed at the end. `outer`: where k is
// very short, a row of the result is a few rows of b, scaled.

#pragma once

#include "packing.h"
#include "unpacked.h"

namespace tinygrad_ai::ISA {

template <class T> struct Tile { // where a tile of the result goes
  T *c;
  index c_row;
  index columns;    // how many of the tile's columns there are
  bool first, last; // whether this is the first, the last block along k
  const T *bias;    // of these columns, or nullptr
  T *z;
  Act act;
};

template <class T, int R, int NV>
ALWAYS_INLINE void finish(typename Vec<T>::type (&acc)[R][NV], const Tile<T> &t) {
  constexpr int W = Vec<T>::width;
  const bool whole = t.columns >= NV * W;
  const bool simple = t.act <= Act::leaky_relu; // the others are applied to the stored tile
  if (t.last && simple) {
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int v = 0; v < NV; ++v) {
      if (t.act == Act::relu)
        acc[i][v] = Relu::value(acc[i][v]);
      else if (t.act == Act::leaky_relu)
        acc[i][v] = LeakyRelu::value(acc[i][v]);
    }
  }
  UNROLL for (int i = 0; i < R; ++i) UNROLL for (int v = 0; v < NV; ++v) {
    T *to = t.c + i * t.c_row + v * W;
    if (whole)
      store(to, acc[i][v]);
    else if (t.columns > v * W)
      store_part(to, acc[i][v], smaller<index>(W, t.columns - v * W));
  }
  if (!t.last || simple)
    return;
  const index n = smaller<index>(t.columns, NV * W);
  for (int i = 0; i < R; ++i) {
    T *y = t.c + i * t.c_row;
    if (t.z)
      __builtin_memcpy(t.z + i * t.c_row, y, n * sizeof(T));
    values(t.act, static_cast<const T *>(y), y, n);
  }
}

// R rows of a's panel times NV vectors of b's, over kc steps.
template <class T, int R, int NV>
__attribute__((noinline)) void micro(index kc, const T *a, const T *b, index b_row,
                                     const Tile<T> &t) {
  using V = typename Vec<T>::type;
  constexpr int W = Vec<T>::width;
  V acc[R][NV];
  const bool whole = t.columns >= NV * W;
  UNROLL for (int v = 0; v < NV; ++v) {
    V start{};
    if (t.first && t.bias)
      start = whole ? load<V>(t.bias + v * W)
                    : load_part<V>(t.bias + v * W, smaller<index>(W, t.columns - v * W), T(0));
    UNROLL for (int i = 0; i < R; ++i) acc[i][v] = start;
  }
  if (!t.first) {
    UNROLL for (int i = 0; i < R; ++i) UNROLL for (int v = 0; v < NV; ++v) {
      const T *from = t.c + i * t.c_row + v * W;
      acc[i][v] =
          whole ? load<V>(from) : load_part<V>(from, smaller<index>(W, t.columns - v * W), T(0));
    }
  }
  for (index k = 0; k < kc; ++k) {
    V bv[NV];
    UNROLL for (int v = 0; v < NV; ++v) bv[v] = load<V>(b + v * W);
    UNROLL for (int i = 0; i < R; ++i) {
      V av = a[i] - V{}; // a broadcast; adding to 0 would be an addition, for -0 + 0 is 0
      UNROLL for (int v = 0; v < NV; ++v) acc[i][v] += av * bv[v];
    }
    a += R;
    b += b_row;
  }
  finish<T, R, NV>(acc, t);
}

template <class T, int NV, int R = Shape<T>::MR>
ALWAYS_INLINE void micro_rows(index rows, index kc, const T *a, const T *b, index b_row,
                              const Tile<T> &t) {
  if constexpr (R > 0) {
    if (rows == R)
      return micro<T, R, NV>(kc, a, b, b_row, t);
    micro_rows<T, NV, R - 1>(rows, kc, a, b, b_row, t);
  }
}

// Whether b is read where it lies: its rows are whole vectors, and each is needed but once or
// twice.
template <class T> bool direct(const Product<T> &p, index rows) {
  return p.b_col == 1 && rows <= 2 * Shape<T>::MR;
}

// A block along k, and the columns of it that lie in panels.
struct Panels {
  index k0, kc;
  Range columns;
  bool first, last; // of the blocks along k
};

// All tiles of rows [i, i + rows) in a block, from a's panel and b's panels.
template <class T>
void tiles(const Product<T> &p, index i, index rows, const Panels &at, const T *pa, const T *pb,
           bool lie) {
  using S = Shape<T>;
  for (index j = at.columns.begin; j < at.columns.end; j += S::NR) {
    const index cols = smaller<index>(S::NR, at.columns.end - j);
    const bool narrow = cols <= S::W;
    const index width = narrow ? S::W : S::NR;
    const bool here = lie && cols == width;
    const T *b = here ? p.b + at.k0 * p.b_row + j : pb;
    Tile<T> tile{p.c + i * p.c_row + j,
                 p.c_row,
                 cols,
                 at.first && !p.add,
                 at.last,
                 p.bias ? p.bias + j : nullptr,
                 p.z ? p.z + i * p.c_row + j : nullptr,
                 p.act};
    if (narrow)
      micro_rows<T, 1>(rows, at.kc, pa, b, here ? p.b_row : width, tile);
    else
      micro_rows<T, 2>(rows, at.kc, pa, b, here ? p.b_row : width, tile);
    pb += width * at.kc;
  }
}

template <class T> void pack_columns(const Product<T> &p, const Panels &at, T *panel, bool lie) {
  using S = Shape<T>;
  for (index j = at.columns.begin; j < at.columns.end; j += S::NR) {
    const index cols = smaller<index>(S::NR, at.columns.end - j);
    const index width = cols <= S::W ? S::W : S::NR;
    if (!(lie && cols == width))
      pack_b(p, j, cols, width, at.k0, at.kc, panel);
    panel += width * at.kc;
  }
}

// The result's rows ri and columns rj, by one thread. The columns' blocks go round inside, for a
// block of b is smaller than one of a, and is copied again for each of those.
template <class T> void packed(const Product<T> &p, Range ri, Range rj, T *space) {
  using S = Shape<T>;
  T *pa = space, *pb = pa + S::MC * S::KC + S::NR, *strip = pb + S::NC * S::KC;
  const index blocks = (p.k + S::KC - 1) / S::KC, longest = (p.k + blocks - 1) / blocks;
  const index mc = S::MC * S::KC / longest / S::MR * S::MR; // a short k leaves room for more
  const index nc = S::NC * S::KC / longest / S::NR * S::NR;
  const bool lie = direct(p, ri.end - ri.begin);
  for (index block = 0; block < blocks; ++block) {
    const index k0 = p.k * block / blocks, kc = p.k * (block + 1) / blocks - k0;
    for (index ic = ri.begin; ic < ri.end; ic += mc) {
      const index iend = smaller(ri.end, ic + mc);
      for (index i = ic; i < iend; i += S::GROUP)
        pack_a(p, i, smaller<index>(S::GROUP, iend - i), k0, kc, pa + (i - ic) * kc, strip,
               p.row_sum && rj.begin == 0);
      for (index j = rj.begin; j < rj.end; j += nc) {
        const Range columns{j, smaller(rj.end, j + nc)};
        const Panels at{k0, kc, columns, block == 0, block == blocks - 1};
        if (ic == ri.begin || rj.end - rj.begin > nc) // or it is still there
          pack_columns(p, at, pb, lie);
        for (index i = ic; i < iend; i += S::MR)
          tiles(p, i, smaller<index>(S::MR, iend - i), at, pa + (i - ic) * kc, pb, lie);
      }
    }
  }
}

// How the result is divided among threads: rows by columns.
struct Grid {
  int rows, columns;
};

template <class T> Grid grid_of(const Product<T> &p, int threads) {
  using S = Shape<T>;
  const double work = double(p.m) * double(p.n) * double(p.k);
  const index most = static_cast<index>(work / 65536) + 1; // less is not worth a thread
  int n = static_cast<int>(smaller<index>(threads, most));
  const index tiles_m = (p.m + S::MR - 1) / S::MR, tiles_n = (p.n + S::NR - 1) / S::NR;
  Grid best{1, 1};
  double least = -1;
  for (int r = 1; r <= n; ++r) {
    const int c = n / r;
    if (r > tiles_m || c > tiles_n)
      continue;
    const double tiles = double((tiles_m + r - 1) / r) * double((tiles_n + c - 1) / c);
    const double copies = double(p.m / r + p.n / c) * 4 / double(S::MR * S::NR);
    const double cost = tiles + copies; // the longest thread's tiles, and what it has to pack
    if (least < 0 || cost < least) {
      least = cost;
      best = {r, c};
    }
  }
  return best;
}

// What one thread needs: panels of a (and room for a last store), panels of b, and a strip.
template <class T> constexpr index room() {
  using S = Shape<T>;
  return (S::MC + S::NC + S::MR) * S::KC + S::NR;
}

template <class T> std::size_t product_space(const Product<T> &p, int threads) {
  const Grid g = grid_of(p, threads);
  return sizeof(T) * room<T>() * g.rows * g.columns;
}

template <class T> void share(const Product<T> &p, Grid g, int t, T *space) {
  using S = Shape<T>;
  const bool dot = by_dots(p);
  const Range ri = part(p.m, t / g.columns, g.rows, dot ? 1 : S::MR);
  const Range rj = part(p.n, t % g.columns, g.columns, dot ? 4 : S::NR);
  if (p.row_sum && t % g.columns == 0)
    for (index i = ri.begin; i < ri.end; ++i)
      p.row_sum[i] = 0;
  if (ri.begin >= ri.end || rj.begin >= rj.end)
    return;
  if (by_outer(p))
    outer(p, ri, rj, p.row_sum && rj.begin == 0);
  else if (dot)
    dots(p, ri, rj);
  else
    packed(p, ri, rj, space + room<T>() * t);
}

// The sums of a's rows alone, where there is nothing to multiply.
template <class T> void sum_rows(const Product<T> &p, T *space) {
  using S = Shape<T>;
  T *strip = space + S::MC * S::KC + S::NR;
  for (index i = 0; i < p.m; ++i)
    p.row_sum[i] = 0;
  for (index i = 0; i < p.m; i += S::GROUP)
    for (index k = 0; k < p.k; k += S::KC)
      pack_a(p, i, smaller<index>(S::GROUP, p.m - i), k, smaller<index>(S::KC, p.k - k), space,
             strip, true);
}

template <class T> void product(const Product<T> &p, void *workspace, int threads) {
  T *space = static_cast<T *>(workspace);
  if (p.n == 0 && p.row_sum)
    return sum_rows(p, space);
  if (p.k == 0) { // nothing to add to the bias: one step of zeros
    for (index i = 0; i < p.m; ++i) {
      T *y = p.c + i * p.c_row;
      for (index j = 0; j < p.n; ++j)
        y[j] = p.bias ? p.bias[j] : T(0);
      if (p.z)
        __builtin_memcpy(p.z + i * p.c_row, y, p.n * sizeof(T));
      values(p.act, static_cast<const T *>(y), y, p.n);
      if (p.row_sum)
        p.row_sum[i] = 0;
    }
    return;
  }
  const Grid g = grid_of(p, threads);
  const int n = g.rows * g.columns;
  on_threads(n, [&](int t) { share(p, g, t, space); });
}

} // namespace tinygrad_ai::ISA
