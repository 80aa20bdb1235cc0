// Layer normalisation: rows brought to mean 0 and variance 1.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

// The variance from x - mean: Σ x² - (Σ x)² would cancel.
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) layer_norm_rows(LayerNorm<T> s) {
  using V = Wide<T>;
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const V n = V(s.width);
    const V mean = Team::template sum_over<V>(width, [&](index i) { return widen(x[i]); }) / n;
    const V squares = Team::template sum_over<V>(width, [&](index i) {
      const V d = widen(x[i]) - mean;
      return d * d;
    });
    const V rstd = 1 / root_of(squares / n + V(s.eps));
    Team::map(x, y, width, [&](index i, V v) {
      v = (v - mean) * rstd;
      v = s.w ? v * widen(s.w[i]) : v;
      return s.b ? v + widen(s.b[i]) : v;
    });
    if (Team::lane() == 0 && row < s.count)
      narrow(mean, s.mean[row]), narrow(rstd, s.rstd[row]);
  });
}

// With u = g w and x̂ = (x - mean) rstd:   gx = (u - mean u - x̂ mean(u x̂)) rstd.
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) layer_norm_grad_rows(LayerNormGrad<T> s) {
  using V = Wide<T>;
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *x = s.x + row * s.width;
    T *gx = s.gx + row * s.width;
    const bool there = row < s.count;
    const V mean = there ? widen(s.mean[row]) : V(0), rstd = there ? widen(s.rstd[row]) : V(0);
    V plain = 0, both = 0;
    Team::over(width, [&](index i) {
      const V u = s.w ? widen(g[i]) * widen(s.w[i]) : widen(g[i]);
      plain += u;
      both += u * ((widen(x[i]) - mean) * rstd);
    });
    plain = Team::sum(plain) / V(s.width);
    both = Team::sum(both) / V(s.width);
    Team::map(g, gx, width, [&](index i, V v) {
      const V u = s.w ? v * widen(s.w[i]) : v;
      return (u - plain - (widen(x[i]) - mean) * rstd * both) * rstd;
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
    layer_norm_slices(LayerNormGrad<T> s, Wide<T> *partial, index slices) {
  using V = Wide<T>;
  DYNAMIC_SHARED(V, shared); // [2][sum_rows][sum_columns]
  const int column = threadIdx.x % sum_columns, lane = threadIdx.x / sum_columns;
  V *own = shared + lane * sum_columns + column;
  const index tiles = (s.width + sum_columns - 1) / sum_columns;
  for (index i = blockIdx.x; i < tiles * slices; i += gridDim.x) {
    const index slice = i / tiles, c = i % tiles * sum_columns + column;
    const index begin = s.count * slice / slices, end = s.count * (slice + 1) / slices;
    V gw = 0, gb = 0;
    if (c < s.width)
      for (index r = begin + lane; r < end; r += sum_rows) {
        const V g = widen(s.g[r * s.width + c]);
        gb += g;
        gw += g * ((widen(s.x[r * s.width + c]) - widen(s.mean[r])) * widen(s.rstd[r]));
      }
    own[0] = gw;
    own[sum_rows * sum_columns] = gb;
#ifndef PLANT_SLICE_BARRIER
    __syncthreads();
#endif
    if (lane < 2 && c < s.width) { // one warp sums gw, another gb
      const V *column_sums = shared + lane * sum_rows * sum_columns + column;
      V sum = 0;
      for (int r = 0; r < sum_rows; ++r)
        sum += column_sums[r * sum_columns];
      partial[(slice * 2 + lane) * s.width + c] = sum;
    }
    __syncthreads(); // shared memory is used again
  }
}

template <class T>
__global__ void __launch_bounds__(128)
    layer_norm_total(const Wide<T> *partial, index slices, T *gw, T *gb, index width) {
  for (index i = index(blockIdx.x) * 128 + threadIdx.x; i < 2 * width;
       i += index(gridDim.x) * 128) {
    Wide<T> sum = 0;
    for (index slice = 0; slice < slices; ++slice)
      sum += partial[slice * 2 * width + i];
    narrow(sum, i < width ? gw[i] : gb[i - width]);
  }
}

// ---- launchers

template <class T> Status layer_norm(const LayerNorm<T> &s, Stream stream) {
  LAUNCH_ROWS(layer_norm_rows, s.count, s.width, s);
}

template <class T> index layer_norm_grad_space(index count, index width) {
  return static_cast<index>(sizeof(Wide<T>)) * 2 * width * slices_of(count);
}

template <class T> Status layer_norm_grad_x(const LayerNormGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(layer_norm_grad_rows, s.count, s.width, s);
}

template <class T>
Status layer_norm_grad(const LayerNormGrad<T> &p, void *workspace, Stream stream) {
  Wide<T> *partial = static_cast<Wide<T> *>(workspace);
  const index slices = slices_of(p.count);
  if (p.width == 0)
    return {};
  PASS(layer_norm_grad_x(p, stream));
  auto kernel = layer_norm_slices<T>;
  const index tiles = (p.width + sum_columns - 1) / sum_columns;
  LAUNCH(kernel, grid_for(tiles * slices, 1), sum_columns * sum_rows,
         2 * sum_rows * sum_columns * sizeof(Wide<T>), stream_of(stream), p, partial, slices);
  TRY(cudaGetLastError());
  auto total = layer_norm_total<T>;
  LAUNCH(total, grid_for(2 * p.width, 128), 128, 0, stream_of(stream), partial, slices, p.gw, p.gb,
         p.width);
  TRY(cudaGetLastError());
  return {};
}

} // namespace tinygrad_ai::cuda
