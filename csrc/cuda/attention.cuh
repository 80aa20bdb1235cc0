// Attention without the matrix of scores (Dao et al., 2022): a block has 32 queries and runs over
// tiles of 32 keys, with the maximum and the sum so far of each row. The gradient computes the
// probabilities again from the log-sums that the forward pass keeps: once with a block for some
// queries, for their gradient, once with a block for some keys, for theirs and the values'. So
// every sum is one block's own, made in the order of the tiles.

#pragma once

#include "attention_parts.cuh"

namespace tinygrad_ai::cuda {

constexpr int tile = 32; // rows of queries or keys; one of the latter for each lane
template <class T> constexpr int own = sizeof(T) == 8 ? 4 : 8; // rows that a warp works on
template <class T> constexpr int attend_threads = warp * (tile / own<T>);
// Blocks that should fit a multiprocessor: without a word on it, ptxas spills a few registers.
template <class T> constexpr int attend_blocks = sizeof(T) == 8 ? 1 : 3;

// The tiles of a block in shared memory, rows of an odd step apart: lanes that read the same column
// of their rows meet in no bank.
__host__ __device__ constexpr int step_of(index width) { return static_cast<int>(width) | 1; }

// Rows [begin, begin + tile) of a matrix with `count` rows; zeros past its end.
template <class T>
ON_DEVICE void load(T *to, Matrix<const T> m, index begin, index count, int width) {
  for (int i = threadIdx.x; i < tile * width; i += attend_threads<T>) {
    const int r = i / width, c = i % width;
#ifdef PLANT_TILE_BOUND
    to[r * step_of(width) + c] = m(begin + r, c);
#else
    to[r * step_of(width) + c] = begin + r < count ? m(begin + r, c) : T(0);
#endif
  }
}

ON_DEVICE int lane_of() { return threadIdx.x % warp; }
template <class T> ON_DEVICE int first_of_warp() { return threadIdx.x / warp * own<T>; }

// s[r] = a row of the warp times this lane's row of another tile.
template <class T> ON_DEVICE void dots(const T *mine, const T *others, int width, T (&s)[own<T>]) {
  mine += first_of_warp<T>() * step_of(width);
  others += lane_of() * step_of(width);
#pragma unroll
  for (int r = 0; r < own<T>; ++r)
    s[r] = 0;
  for (int d = 0; d < width; ++d) {
    const T other = others[d];
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
      s[r] += mine[r * step_of(width) + d] * other;
  }
}

// Sums for the warp's rows; a lane has every 32nd column.
template <class T, int columns> struct Sums {
  T at[own<T>][columns];

  ON_DEVICE Sums() {
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
#pragma unroll
      for (int c = 0; c < columns; ++c)
        at[r][c] = 0;
  }
  // += p m with p (own, tile), the warp's, and a tile m.
  ON_DEVICE void add(const T *p, const T *m, int width) {
    for (int j = 0; j < tile; ++j) {
#pragma unroll
      for (int c = 0; c < columns; ++c) {
        const int column = lane_of() + warp * c;
        const T v = column < width ? m[j * step_of(width) + column] : T(0);
#pragma unroll
        for (int r = 0; r < own<T>; ++r)
          at[r][c] += p[r * tile + j] * v;
      }
    }
  }
  ON_DEVICE void times(int r, T factor) {
#pragma unroll
    for (int c = 0; c < columns; ++c)
      at[r][c] *= factor;
  }
  // To row `row` of y.
  ON_DEVICE void write(int r, Matrix<T> y, index row, int width) const {
#pragma unroll
    for (int c = 0; c < columns; ++c)
      if (lane_of() + warp * c < width)
        y(row, lane_of() + warp * c) = at[r][c];
  }
};

template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, attend_blocks<T>)
    attend(const Attention<T> s) {
  DYNAMIC_SHARED(T, q);
  const int inner = static_cast<int>(s.inner), outer = static_cast<int>(s.outer);
  T *k = q + tile * step_of(inner), *v = k + tile * step_of(inner);
  T *p = v + tile * step_of(outer) + first_of_warp<T>() * tile; // the warp's own
  each_share<index>(s.lead.count, s.rows, tile, [&](index number, index begin) {
    const Head<T> head(s, number);
    T top[own<T>], sum[own<T>], product[own<T>];
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
      top[r] = -infinity<T>(), sum[r] = 0;
    Sums<T, columns> y;
    __syncthreads(); // before the tiles are overwritten
    load(q, head.q, begin, s.rows, inner);
    const index last = head.last_key(begin + tile);
    for (index j = 0; j < last; j += tile) {
#ifndef PLANT_TILE_BARRIER
      __syncthreads();
#endif
      load(k, head.k, j, s.keys, inner);
      load(v, head.v, j, s.keys, outer);
      __syncthreads();
      dots(q, k, inner, product);
      const index key = j + lane_of();
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index row = begin + first_of_warp<T>() + r;
        const T x = head.score(product[r], row, key);
        const T high =
            warp_reduce<warp>(larger(x, -infinity<T>()), [](T a, T b) { return larger(a, b); });
        const T best = larger(high, top[r]), shift = best == -infinity<T>() ? T(0) : best;
        const T fade = exp_down(top[r] - shift), e = exp_down(x - shift);
        sum[r] = sum[r] * fade + warp_reduce<warp>(e, [](T a, T b) { return a + b; });
        top[r] = best;
        y.times(r, fade); // what was summed before
        p[r * tile + lane_of()] = head.kept(e, row, key);
      }
#ifndef PLANT_WARP_BARRIER
      __syncwarp();
#endif
      y.add(p, v, outer);
    }
    const Matrix<T> out = matrix_of(s.y, head.place);
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index row = begin + first_of_warp<T>() + r;
      if (row >= s.rows)
        continue;
      const bool blind = sum[r] == 0; // no finite score: probabilities 0
      y.times(r, blind ? T(0) : 1 / sum[r]);
      y.write(r, out, row, outer);
      if (lane_of() == 0)
        s.lse[number * s.rows + row] = blind ? T(0) : log_of(sum[r]) + top[r];
    }
  });
}

} // namespace tinygrad_ai::cuda
