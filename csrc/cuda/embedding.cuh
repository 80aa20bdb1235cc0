// Rows of a table, and their gradient. For the gradient the places are brought into order, so that
// the rows to add are neighbours and one block adds them, in the order of the places: no atomics.

#pragma once

#include "elementwise.cuh"

namespace tinygrad_ai::cuda {

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) embedding_rows(Embedding<T> s, index rows) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    if (row >= s.count)
      return;
    const index place = s.place[row];
    T *y = s.y + row * s.width;
    if (place < 0 || place >= rows)
      return Team::over(width, [&](index i) { narrow(not_a_number<Wide<T>>(), y[i]); });
    Team::copy(s.w + place * s.width, y, width);
  });
}

// Where place i comes in the order: after all smaller ones, and all equal ones before it. Blocks
// look at the places tile by tile in shared memory.
PLAIN_KERNEL void __launch_bounds__(element_threads)
    rank_places(const std::int64_t *place, index count, std::int64_t *order) {
  DYNAMIC_SHARED(index, tile);
  const index step = index(gridDim.x) * element_threads;
  for (index first = index(blockIdx.x) * element_threads; first < count; first += step) {
    const index i = first + threadIdx.x, own = i < count ? place[i] : 0;
    index rank = 0;
    for (index begin = 0; begin < count; begin += element_threads) {
      const index rest = count - begin, n = rest < element_threads ? rest : element_threads;
      if (begin + threadIdx.x < count)
        tile[threadIdx.x] = place[begin + threadIdx.x];
#ifndef PLANT_RANK_BARRIER
      __syncthreads();
#endif
      for (int j = 0; j < n; ++j)
        rank += tile[j] < own || (tile[j] == own && begin + j < i);
      __syncthreads(); // the tile is overwritten
    }
    if (i < count)
      order[rank] = i;
  }
}

// A block for each place in the order, which works if it is the first of its row of the table.
constexpr int gather_threads = 128;
template <class T>
__global__ void __launch_bounds__(gather_threads)
    embedding_grad_rows(EmbeddingGrad<T> s, index rows, const std::int64_t *order,
                        bool by_frequency) {
  for (index first = blockIdx.x; first < s.count; first += gridDim.x) {
    const index row = s.place[order[first]];
    if (row < 0 || row >= rows || row == s.skip)
      continue;
#ifndef PLANT_FIRST_OF_ROW
    if (first > 0 && s.place[order[first - 1]] == row)
      continue;
#endif
    index end = first + 1;
    while (end < s.count && s.place[order[end]] == row)
      ++end;
    const Wide<T> uses = by_frequency ? Wide<T>(end - first) : Wide<T>(1);
    for (index c = threadIdx.x; c < s.width; c += gather_threads) {
      Wide<T> sum = 0;
      for (index i = first; i < end; ++i)
        sum += widen(s.g[order[i] * s.width + c]);
      narrow(sum / uses, s.gw[row * s.width + c]);
    }
  }
}

// ---- launchers

template <class T> Status embedding(const Embedding<T> &s, index rows, Stream stream) {
  LAUNCH_ROWS(embedding_rows, s.count, s.width, s, rows);
}

template <class T>
Status embedding_grad(const EmbeddingGrad<T> &s, index rows, const std::int64_t *order,
                      bool by_frequency, Stream stream) {
  if (s.count == 0 || s.width == 0)
    return {};
  auto kernel = embedding_grad_rows<T>;
  LAUNCH(kernel, grid_for(s.count, 1), gather_threads, 0, stream_of(stream), s, rows, order,
         by_frequency);
  TRY(cudaGetLastError());
  return {};
}

} // namespace tinygrad_ai::cuda
