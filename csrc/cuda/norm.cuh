// Layer normalisation: rows brought to mean 0 and variance 1.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

// The variance from x - mean: Σ x² - (Σ x)² would cancel.
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) layer_norm_rows(LayerNorm<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const T mean = Team::template sum_over<T>(width, [&](index i) { return x[i]; }) / T(s.width);
    const T squares = Team::template sum_over<T>(width, [&](index i) {
      const T d = x[i] - mean;
      return d * d;
    });
    const T rstd = 1 / root_of(squares / T(s.width) + T(s.eps));
    Team::map(x, y, width, [&](index i, T v) {
      v = (v - mean) * rstd;
      v = s.w ? v * s.w[i] : v;
      return s.b ? v + s.b[i] : v;
    });
    if (Team::lane() == 0 && row < s.count)
      s.mean[row] = mean, s.rstd[row] = rstd;
  });
}

// With u = g w and x̂ = (x - mean) rstd:   gx = (u - mean u - x̂ mean(u x̂)) rstd.
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) layer_norm_grad_rows(LayerNormGrad<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *x = s.x + row * s.width;
    T *gx = s.gx + row * s.width;
    const bool there = row < s.count;
    const T mean = there ? s.mean[row] : T(0), rstd = there ? s.rstd[row] : T(0);
    T plain = 0, both = 0;
    Team::over(width, [&](index i) {
      const T u = s.w ? g[i] * s.w[i] : g[i];
      plain += u;
      both += u * ((x[i] - mean) * rstd);
    });
    plain = Team::sum(plain) / T(s.width);
    both = Team::sum(both) / T(s.width);
    Team::map(g, gx, width, [&](index i, T v) {
      const T u = s.w ? v * s.w[i] : v;
      return (u - plain - (x[i] - mean) * rstd * both) * rstd;
    });
  });
}

// gw = Σ g x̂ and gb = Σ g over the rows, in two steps: sums of slices of the rows, then their sum
// in the order of the slices. How many there are depends on the number of rows only.
constexpr int sum_columns = 32, sum_rows = 8; // a block's threads
inline index slices_of(index rows) {
  const index slices = (rows + 31) / 32;
  return slices < 1 ? 1 : slices < 128 ? slices : 128;
}

template <class T>
__global__ void __launch_bounds__(sum_columns *sum_rows)
    layer_norm_slices(LayerNormGrad<T> s, T *partial, index slices) {
  DYNAMIC_SHARED(T, shared); // [2][sum_rows][sum_columns]
  const int column = threadIdx.x % sum_columns, lane = threadIdx.x / sum_columns;
  T *own = shared + lane * sum_columns + column;
  const index tiles = (s.width + sum_columns - 1) / sum_columns;
  for (index i = blockIdx.x; i < tiles * slices; i += gridDim.x) {
    const index slice = i / tiles, c = i % tiles * sum_columns + column;
    const index begin = s.count * slice / slices, end = s.count * (slice + 1) / slices;
    T gw = 0, gb = 0;
    if (c < s.width)
      for (index r = begin + lane; r < end; r += sum_rows) {
        const T g = s.g[r * s.width + c];
        gb += g;
        gw += g * ((s.x[r * s.width + c] - s.mean[r]) * s.rstd[r]);
      }
    own[0] = gw;
    own[sum_rows * sum_columns] = gb;
#ifndef PLANT_SLICE_BARRIER
    __syncthreads();
#endif
    if (lane < 2 && c < s.width) { // one warp sums gw, another gb
      const T *column_sums = shared + lane * sum_rows * sum_columns + column;
      T sum = 0;
      for (int r = 0; r < sum_rows; ++r)
        sum += column_sums[r * sum_columns];
      partial[(slice * 2 + lane) * s.width + c] = sum;
    }
    __syncthreads(); // shared memory is used again
  }
}

template <class T>
__global__ void __launch_bounds__(128)
    layer_norm_total(const T *partial, index slices, T *gw, T *gb, index width) {
  for (index i = index(blockIdx.x) * 128 + threadIdx.x; i < 2 * width;
       i += index(gridDim.x) * 128) {
    T sum = 0;
    for (index slice = 0; slice < slices; ++slice)
      sum += partial[slice * 2 * width + i];
    (i < width ? gw[i] : gb[i - width]) = sum;
  }
}

// ---- launchers

template <class T> int layer_norm(const LayerNorm<T> &s, Stream stream) {
  LAUNCH_ROWS(layer_norm_rows, s.count, s.width, s);
}

template <class T> std::size_t layer_norm_grad_space(const LayerNormGrad<T> &s) {
  return sizeof(T) * 2 * s.width * slices_of(s.count);
}

template <class T> int layer_norm_grad_x(const LayerNormGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(layer_norm_grad_rows, s.count, s.width, s);
}

template <class T> int layer_norm_grad(const LayerNormGrad<T> &s, void *workspace, Stream stream) {
  T *partial = static_cast<T *>(workspace);
  const index slices = slices_of(s.count);
  if (s.width == 0)
    return 0;
  if (const int status = layer_norm_grad_x(s, stream))
    return status;
  auto kernel = layer_norm_slices<T>;
  const index tiles = (s.width + sum_columns - 1) / sum_columns;
  LAUNCH(kernel, grid_for(tiles * slices, 1), sum_columns * sum_rows,
         2 * sum_rows * sum_columns * sizeof(T), stream_of(stream), s, partial, slices);
  if (const int status = launched())
    return status;
  auto total = layer_norm_total<T>;
  LAUNCH(total, grid_for(2 * s.width, 128), 128, 0, stream_of(stream), partial, slices, s.gw, s.gb,
         s.width);
  return launched();
}

} // namespace tinygrad_ai::cuda
