// The backward pass of the activation and of the bias: gz = g f'(v), and gb, the sums of gz's
// columns. No atomics: the order of the sums, and so every bit of them, depends on the shape alone.

#pragma once

#include "finish.cuh"

namespace tinygrad_ai::cuda {

constexpr int strip_columns = 32, strip_rows = 8, strip_line = strip_columns + 1;

// A block takes 32 columns of `length` rows; part gets their sums, a row for each blockIdx.y.
template <class T>
__global__ void __launch_bounds__(strip_columns *strip_rows)
    act_grad_kernel(ActGrad<T> p, Wide<T> *part, int length) {
  DYNAMIC_SHARED(Wide<T>, sums);
  const int tx = threadIdx.x, ty = threadIdx.y;
  const index column = static_cast<index>(blockIdx.x) * strip_columns + tx;
  const index begin = static_cast<index>(blockIdx.y) * length;
  const index end = begin + length < p.rows ? begin + length : p.rows;
  Wide<T> sum = 0;
  if (column < p.columns)
    for (index row = begin + ty; row < end; row += strip_rows) {
      const index at = row * p.columns + column;
      Wide<T> gz = widen(p.g[at]);
      if (p.act != Act::none)
        gz *= slope_of(widen(p.v[at]), p.act);
      if (p.gz)
        narrow(gz, p.gz[at]);
      sum += gz;
    }
  if (!part)
    return; // the whole block does
  sums[ty * strip_line + tx] = sum;
  for (int half = strip_rows / 2; half > 0; half /= 2) {
#ifndef PLANT_SUM_NO_BARRIER
    __syncthreads();
#endif
    if (ty < half)
      sums[ty * strip_line + tx] += sums[(ty + half) * strip_line + tx];
  }
#ifdef PLANT_SUM_ACROSS_BLOCKS
  if (ty == 0 && column < p.columns)
    part[column] += sums[tx]; // what would need atomicAdd
#else
  if (ty == 0 && column < p.columns)
    part[blockIdx.y * p.columns + column] = sums[tx];
#endif
}

// gb[j] = Σ part[i, j], one thread for each column, from the first row to the last.
template <class T> __global__ void sum_parts_kernel(const Wide<T> *part, T *gb, int rows,
                                                    index columns) {
  const index column = static_cast<index>(blockIdx.x) * blockDim.x + threadIdx.x;
#ifdef PLANT_COLUMN_PAST_END
  if (column > columns)
#else
  if (column >= columns)
#endif
    return;
  Wide<T> sum = 0;
  for (int row = 0; row < rows; ++row)
    sum += part[row * columns + column];
  narrow(sum, gb[column]);
}

} // namespace tinygrad_ai::cuda
