// The gradient of attention, tile by tile, from the log-sums of each row.

#pragma once

#include "attention.cuh"

namespace tinygrad_ai::cuda {

// In shared memory: a tile of each matrix, and of each warp's scores.
template <class T> struct GradTiles {
  int inner, outer;
  T *q, *k, *g, *v, *p;

  ON_DEVICE GradTiles(const Attention<T> &s, T *shared)
      : inner(static_cast<int>(s.inner)), outer(static_cast<int>(s.outer)), q(shared),
        k(q + tile * step_of(inner)), g(k + tile * step_of(inner)), v(g + tile * step_of(outer)),
        p(v + tile * step_of(outer) + first_of_warp<T>() * tile) {}
};

// What the forward pass, and the sums over g y, keep of a query's row; 0 past the end.
template <class T> ON_DEVICE T of_row(const T *all, const Head<T> &head, index number, index row) {
  return row < head.rows ? all[number * head.rows + row] : T(0);
}

template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, attend_blocks<T>)
    attend_grad_queries(const AttentionGrad<T> s, const T *both) {
  DYNAMIC_SHARED(T, shared);
  const Attention<T> &f = s.forward;
  const GradTiles<T> at(f, shared);
  each_share<index>(f.lead.count, f.rows, tile, [&](index number, index begin) {
    const Head<T> head(f, number);
    const Matrix<T> all = matrix_of(s.gs, head.place);
    T lse[own<T>], sum[own<T>], product[own<T>], inflow[own<T>];
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index row = begin + first_of_warp<T>() + r;
      lse[r] = of_row(f.lse, head, number, row), sum[r] = of_row(both, head, number, row);
    }
    Sums<T, columns> gq;
    __syncthreads();
    load(at.q, head.q, begin, f.rows, at.inner);
    load(at.g, matrix_of(s.g, head.place), begin, f.rows, at.outer);
    const index last = all.at ? f.keys : head.last_key(begin + tile);
    for (index j = 0; j < last; j += tile) {
      __syncthreads();
      load(at.k, head.k, j, f.keys, at.inner);
      load(at.v, head.v, j, f.keys, at.outer);
      __syncthreads();
      dots(at.q, at.k, at.inner, product);
      dots(at.g, at.v, at.outer, inflow);
      const index key = j + lane_of();
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index row = begin + first_of_warp<T>() + r;
        const T e = exp_down(head.score(product[r], row, key) - lse[r]);
        const T into = e * (head.kept(inflow[r], row, key) - sum[r]);
        if (all.at && row < f.rows && key < f.keys)
          all(row, key) = into;
        at.p[r * tile + lane_of()] = into * head.scale;
      }
      __syncwarp();
      gq.add(at.p, at.k, at.inner);
    }
    const Matrix<T> out = matrix_of(s.gq, head.place);
#pragma unroll
    for (int r = 0; r < own<T>; ++r)
      if (begin + first_of_warp<T>() + r < f.rows)
        gq.write(r, out, begin + first_of_warp<T>() + r, at.inner);
  });
}

// As above with the parts of queries and keys exchanged: a warp has keys, a lane has a query.
template <class T, int columns>
__global__ void __launch_bounds__(attend_threads<T>, 1)
    attend_grad_keys(const AttentionGrad<T> s, const T *both) {
  DYNAMIC_SHARED(T, shared);
  const Attention<T> &f = s.forward;
  const GradTiles<T> at(f, shared);
  T *gp = at.p + tile * tile;
  each_share<index>(f.lead.count, f.keys, tile, [&](index number, index begin) {
    const Head<T> head(f, number);
    const Matrix<const T> grads = matrix_of(s.g, head.place);
    T product[own<T>], inflow[own<T>];
    Sums<T, columns> gk, gv;
    __syncthreads();
    load(at.k, head.k, begin, f.keys, at.inner);
    load(at.v, head.v, begin, f.keys, at.outer);
    for (index j = f.causal ? begin : 0; j < f.rows; j += tile) {
#ifndef PLANT_QUERY_BARRIER
      __syncthreads();
#endif
      load(at.q, head.q, j, f.rows, at.inner);
      load(at.g, grads, j, f.rows, at.outer);
      __syncthreads();
      dots(at.k, at.q, at.inner, product);
      dots(at.v, at.g, at.outer, inflow);
      const index row = j + lane_of();
      const T lse = of_row(f.lse, head, number, row), sum = of_row(both, head, number, row);
#pragma unroll
      for (int r = 0; r < own<T>; ++r) {
        const index key = begin + first_of_warp<T>() + r;
        const T e = exp_down(head.score(product[r], row, key) - lse);
        at.p[r * tile + lane_of()] = head.kept(e, row, key);
        gp[r * tile + lane_of()] = e * (head.kept(inflow[r], row, key) - sum) * head.scale;
      }
      __syncwarp();
      gv.add(at.p, at.g, at.outer);
      gk.add(gp, at.q, at.inner);
    }
    const Matrix<T> out_k = matrix_of(s.gk, head.place), out_v = matrix_of(s.gv, head.place);
#pragma unroll
    for (int r = 0; r < own<T>; ++r) {
      const index key = begin + first_of_warp<T>() + r;
      if (key >= f.keys)
        continue;
      gk.write(r, out_k, key, at.inner);
      gv.write(r, out_v, key, at.outer);
    }
  });
}

} // namespace tinygrad_ai::cuda
