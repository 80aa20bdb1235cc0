// The gradient of attention, tile by tile, from the log-sums of each row.

#pragma once

#include "attention.cuh"

namespace tinygrad_ai::cuda {

// Σ g y of each row, which is Σ p gp: what softmax's gradient subtracts.
template <class T>
__global__ void __launch_bounds__(Team<warp>::threads)
    attend_grad_sums(const AttentionGrad<T> s, T *both) {
  const Attention<T> &f = s.forward;
  Team<warp>::by_row(f.lead.count * f.rows, f.outer, [&](index i, index width) {
    const index head = width ? i / f.rows : 0, row = width ? i % f.rows : 0;
    const Place place(f.lead, head);
    const Matrix<const T> g = matrix_of(s.g, place);
    const Matrix<T> y = matrix_of(f.y, place);
    const T sum = Team<warp>::sum_over<T>(width, [&](index c) { return g(row, c) * y(row, c); });
    if (Team<warp>::lane() == 0 && i < f.lead.count * f.rows)
      both[i] = sum;
  });
}

template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, attend_blocks<T>)
    attend_grad_queries(const AttentionGrad<T> s, const T *both) {
  DYNAMIC_SHARED(T, q);
  const Attention<T> &f = s.forward;
  const int inner = static_cast<int>(f.inner), outer = static_cast<int>(f.outer);
  T *k = q + tile * step_of(inner), *g = k + tile * step_of(inner), *v = g + tile * step_of(outer);
  T *p = v + tile * step_of(outer) + first_of_warp<T>() * tile;
  const index tiles = (f.rows + tile - 1) / tile;
  for (index i = blockIdx.x; i < f.lead.count * tiles; i += gridDim.x) {
    const index head = i / tiles, begin = i % tiles * tile;
    const Place place(f.lead, head);
    const Matrix<const T> queries = matrix_of(f.q, place);
    const Matrix<const T> keys = matrix_of(f.k, place);
    const Matrix<const T> values = matrix_of(f.v, place);
    const Matrix<const T> grads = matrix_of(s.g, place);
    const Matrix<T> all = matrix_of(s.gs, place), out = matrix_of(s.gq, place);
    const Scores<T> scores(f, place);
    T lse[own<T>], sum[own<T>], product[own<T>], inflow[own<T>];
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index row = begin + first_of_warp<T>() + r;
      lse[r] = row < f.rows ? f.lse[head * f.rows + row] : T(0);
      sum[r] = row < f.rows ? both[head * f.rows + row] : T(0);
    }
    Sums<T, columns> gq;
    __syncthreads();
    load(q, queries, begin, f.rows, inner);
    load(g, grads, begin, f.rows, outer);
    const index last = all.at ? f.keys : scores.last_key(begin + tile);
    for (index j = 0; j < last; j += tile) {
      __syncthreads();
      load(k, keys, j, f.keys, inner);
      load(v, values, j, f.keys, outer);
      __syncthreads();
      dots(q, k, inner, product);
      dots(g, v, outer, inflow);
      const index key = j + lane_of();
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index row = begin + first_of_warp<T>() + r;
        const T e = exp_down(scores.score(product[r], row, key) - lse[r]);
        const T into = e * (scores.kept(inflow[r], row, key) - sum[r]);
        if (all.at && row < f.rows && key < f.keys)
          all(row, key) = into;
        p[r * tile + lane_of()] = into * scores.scale;
      }
      __syncwarp();
      gq.add(p, k, inner);
    }
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
      if (begin + first_of_warp<T>() + r < f.rows)
        gq.write(r, out, begin + first_of_warp<T>() + r, inner);
  }
}

// As above with the parts of queries and keys exchanged: a warp has keys, a lane has a query.
template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, 1)
    attend_grad_keys(const AttentionGrad<T> s, const T *both) {
  DYNAMIC_SHARED(T, q);
  const Attention<T> &f = s.forward;
  const int inner = static_cast<int>(f.inner), outer = static_cast<int>(f.outer);
  T *k = q + tile * step_of(inner), *g = k + tile * step_of(inner), *v = g + tile * step_of(outer);
  T *p = v + tile * step_of(outer) + first_of_warp<T>() * tile, *gp = p + tile * tile;
  const index tiles = (f.keys + tile - 1) / tile;
  for (index i = blockIdx.x; i < f.lead.count * tiles; i += gridDim.x) {
    const index head = i / tiles, begin = i % tiles * tile;
    const Place place(f.lead, head);
    const Matrix<const T> queries = matrix_of(f.q, place);
    const Matrix<const T> keys = matrix_of(f.k, place);
    const Matrix<const T> values = matrix_of(f.v, place);
    const Matrix<const T> grads = matrix_of(s.g, place);
    const Matrix<T> out_k = matrix_of(s.gk, place), out_v = matrix_of(s.gv, place);
    const Scores<T> scores(f, place);
    T product[own<T>], inflow[own<T>];
    Sums<T, columns> gk, gv;
    __syncthreads();
    load(k, keys, begin, f.keys, inner);
    load(v, values, begin, f.keys, outer);
    for (index j = f.causal ? begin : 0; j < f.rows; j += tile) {
#ifndef PLANT_QUERY_BARRIER
      __syncthreads();
#endif
      load(q, queries, j, f.rows, inner);
      load(g, grads, j, f.rows, outer);
      __syncthreads();
      dots(k, q, inner, product);
      dots(v, g, outer, inflow);
      const index row = j + lane_of();
      const T lse = row < f.rows ? f.lse[head * f.rows + row] : T(0);
      const T sum = row < f.rows ? both[head * f.rows + row] : T(0);
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index key = begin + first_of_warp<T>() + r;
        const T e = exp_down(scores.score(product[r], row, key) - lse);
        p[r * tile + lane_of()] = scores.kept(e, row, key);
        gp[r * tile + lane_of()] = e * (scores.kept(inflow[r], row, key) - sum) * scores.scale;
      }
      __syncwarp();
      gv.add(p, g, outer);
      gk.add(gp, q, inner);
    }
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index key = begin + first_of_warp<T>() + r;
      if (key >= f.keys)
        continue;
      gk.write(r, out_k, key, inner);
      gv.write(r, out_v, key, outer);
    }
  }
}

// ---- launchers

template <class T> std::size_t attention_grad_space(const AttentionGrad<T> &s) {
  return sizeof(T) * s.forward.lead.count * s.forward.rows;
}

template <class T> int attention_grad(const AttentionGrad<T> &s, void *workspace, Stream stream) {
  const Attention<T> &f = s.forward;
  if (too_wide(f))
    return invalid_value;
  T *both = static_cast<T *>(workspace);
  const index heads = f.lead.count, wide = f.inner > 64 || f.outer > 64;
  if (heads * f.rows > 0) {
    auto sums = attend_grad_sums<T>;
    LAUNCH(sums, grid_for(heads * f.rows, Team<warp>::teams), Team<warp>::threads, 0,
           stream_of(stream), s, both);
    if (const int status = launched())
      return status;
  }
  auto queries = wide ? attend_grad_queries<T, 4> : attend_grad_queries<T, 2>;
  if (const int status =
          launch_attention(queries, attend_threads<T>, heads * ((f.rows + tile - 1) / tile),
                           attend_shared(f, 2, 2, 1), stream, s, both))
    return status;
  auto keys = wide ? attend_grad_keys<T, 4> : attend_grad_keys<T, 2>;
  return launch_attention(keys, attend_threads<T>, heads * ((f.keys + tile - 1) / tile),
                          attend_shared(f, 2, 2, 2), stream, s, both);
}

} // namespace tinygrad_ai::cuda
