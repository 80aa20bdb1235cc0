// Attention without the matrix of scores (Dao et al., 2022): a block has 32 queries and runs over
// tiles of 32 keys, with the maximum and the sum so far of each row. The gradient computes the
// probabilities again from the log-sums that the forward pass keeps: once with a block for some
// queries, for their gradient, once with a block for some keys, for theirs and the values'. So
// every sum is one block's own, made in the order of the tiles.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

constexpr int tile = 32; // rows of queries or keys; one of the latter for each lane
template <class T> constexpr int own = sizeof(T) == 8 ? 4 : 8; // rows that a warp works on
template <class T> constexpr int attend_threads = warp * (tile / own<T>);
// Blocks that should fit a multiprocessor: without a word on it, ptxas spills a few registers.
template <class T> constexpr int attend_blocks = sizeof(T) == 8 ? 1 : 3;
constexpr int most_inner = 128; // of a head

template <class T> struct Matrix {
  T *at;
  index row, col;
  ON_DEVICE T &operator()(index r, index c) const { return at[r * row + c * col]; }
};

// Which matrix of a stack: its index along each leading dimension. The divisions are made once.
struct Place {
  index at[most_lead];

  ON_DEVICE Place(const Lead &lead, index i) {
#pragma unroll
    for (int d = most_lead - 1; d >= 0; --d) {
      at[d] = d < lead.ndim ? i % lead.size[d] : 0;
      i = d < lead.ndim ? i / lead.size[d] : i;
    }
  }
};

template <class T> ON_DEVICE Matrix<T> matrix_of(const Stack<T> &s, const Place &place) {
  if (!s.at)
    return {nullptr, 0, 0};
  index offset = 0;
#pragma unroll
  for (int d = 0; d < most_lead; ++d)
    offset += place.at[d] * s.lead[d];
  return {s.at + offset, s.row, s.col};
}

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

// What a score and a probability of a query's row and a key become.
template <class T> struct Scores {
  Matrix<const T> bias;
  Matrix<const unsigned char> keep;
  index rows, keys;
  T scale, grow;
  bool causal;

  ON_DEVICE Scores(const Attention<T> &s, const Place &place)
      : bias(matrix_of(s.bias, place)), keep(matrix_of(s.keep, place)), rows(s.rows), keys(s.keys),
        scale(T(s.scale)), grow(T(s.grow)), causal(s.causal) {}

  // -inf for keys that are not there, or hidden.
  ON_DEVICE T score(T product, index row, index key) const {
    if (row >= rows || key >= keys || (causal && key > row))
      return -infinity<T>();
    return product * scale + (bias.at ? bias(row, key) : T(0));
  }
  ON_DEVICE T kept(T p, index row, index key) const {
    if (!keep.at || row >= rows || key >= keys)
      return p;
    return p * (keep(row, key) ? grow : T(0));
  }
  // Keys that some of the queries before `end` may see.
  ON_DEVICE index last_key(index end) const { return causal && end < keys ? end : keys; }
};

template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, attend_blocks<T>)
    attend(const Attention<T> s) {
  DYNAMIC_SHARED(T, q);
  const int inner = static_cast<int>(s.inner), outer = static_cast<int>(s.outer);
  T *k = q + tile * step_of(inner), *v = k + tile * step_of(inner);
  T *p = v + tile * step_of(outer) + first_of_warp<T>() * tile; // the warp's own
  const index tiles = (s.rows + tile - 1) / tile;
  for (index i = blockIdx.x; i < s.lead.count * tiles; i += gridDim.x) {
    const index head = i / tiles, begin = i % tiles * tile;
    const Place place(s.lead, head);
    const Matrix<const T> queries = matrix_of(s.q, place);
    const Matrix<const T> keys = matrix_of(s.k, place);
    const Matrix<const T> values = matrix_of(s.v, place);
    const Matrix<T> out = matrix_of(s.y, place);
    const Scores<T> scores(s, place);
    T top[own<T>], sum[own<T>], product[own<T>];
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
      top[r] = -infinity<T>(), sum[r] = 0;
    Sums<T, columns> y;
    __syncthreads(); // before the tiles are overwritten
    load(q, queries, begin, s.rows, inner);
    const index last = scores.last_key(begin + tile);
    for (index j = 0; j < last; j += tile) {
#ifndef PLANT_TILE_BARRIER
      __syncthreads();
#endif
      load(k, keys, j, s.keys, inner);
      load(v, values, j, s.keys, outer);
      __syncthreads();
      dots(q, k, inner, product);
      const index key = j + lane_of();
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index row = begin + first_of_warp<T>() + r;
        const T x = scores.score(product[r], row, key);
        const T high =
            warp_reduce<warp>(larger(x, -infinity<T>()), [](T a, T b) { return larger(a, b); });
        const T best = larger(high, top[r]), shift = best == -infinity<T>() ? T(0) : best;
        const T fade = exp_down(top[r] - shift), e = exp_down(x - shift);
        sum[r] = sum[r] * fade + warp_reduce<warp>(e, [](T a, T b) { return a + b; });
        top[r] = best;
        y.times(r, fade); // what was summed before
        p[r * tile + lane_of()] = scores.kept(e, row, key);
      }
#ifndef PLANT_WARP_BARRIER
      __syncwarp();
#endif
      y.add(p, v, outer);
    }
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index row = begin + first_of_warp<T>() + r;
      if (row >= s.rows)
        continue;
      const bool blind = sum[r] == 0; // no finite score: probabilities 0
      y.times(r, blind ? T(0) : 1 / sum[r]);
      y.write(r, out, row, outer);
      if (lane_of() == 0)
        s.lse[head * s.rows + row] = blind ? T(0) : log_of(sum[r]) + top[r];
    }
  }
}

// ---- launchers

// More shared memory than 48 kB has to be asked for.
template <class Kernel> int allow_shared(Kernel kernel, std::size_t bytes) {
  if (bytes > 48 * 1024)
    if (const auto status = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes))) {
      cudaGetLastError(); // told now, and not once more at the next launch
      return static_cast<int>(status);
    }
  return 0;
}

// `inner_tiles` and `outer_tiles` rows of so many numbers, and `scores` tiles of them.
template <class T>
std::size_t attend_shared(const Attention<T> &s, int inner_tiles, int outer_tiles, int scores) {
  return sizeof(T) * tile *
         (inner_tiles * step_of(s.inner) + outer_tiles * step_of(s.outer) + scores * tile);
}

template <class Kernel, class... Arguments>
int launch_attention(Kernel kernel, int threads, index work, std::size_t bytes, Stream stream,
                     const Arguments &...arguments) {
  if (work == 0)
    return 0;
  if (const int status = allow_shared(kernel, bytes))
    return status;
  LAUNCH(kernel, grid_for(work, 1), threads, bytes, stream_of(stream), arguments...);
  return launched();
}

template <class T> bool too_wide(const Attention<T> &s) {
  return s.inner > most_inner || s.outer > most_inner;
}
constexpr int invalid_value = 1; // cudaErrorInvalidValue

template <class T> int attention(const Attention<T> &s, Stream stream) {
  if (too_wide(s))
    return invalid_value;
  const index work = s.lead.count * ((s.rows + tile - 1) / tile);
  auto kernel = s.outer > 64 ? attend<T, 4> : attend<T, 2>;
  return launch_attention(kernel, attend_threads<T>, work, attend_shared(s, 2, 1, 1), stream, s);
}

} // namespace tinygrad_ai::cuda
