// The gradient of attention on tensor cores: two kernels, so that every sum is one warp's own and
// made in the order of the tiles. One has a block for some queries and runs over the keys, one has
// a block for some keys and runs over the queries: there the scores are computed with keys down and
// queries across, and are again the left side of what follows. That is seven products where one
// kernel could do with five, but would have to add gq across blocks, in no fixed order.

#pragma once

#include "attention_mma.cuh"

namespace tinygrad_ai::cuda {

constexpr int chunk = 16; // rows of a tile that are worked on at a time: registers are few

template <class Kind, int D, bool EXTRA>
__global__ void __launch_bounds__(mma_threads, 2)
    attend_grad_queries_mma(const AttentionGrad<typename Kind::Number> s, const float *both) {
  using T = typename Kind::Number;
  using C = GradCut<D, EXTRA>;
  constexpr int MT = C::MT, NT = chunk / 8, stage_size = C::BN * C::line;
  DYNAMIC_SHARED(T, q);
  T *const g = q + C::BM * C::line, *const k = g + C::BM * C::line, *const v = k + 2 * stage_size;
  const Attention<T> &f = s.forward;
  const int of_warp = static_cast<int>(threadIdx.x) / warp * 16 * MT;
  each_share(
      static_cast<int>(f.lead.count), static_cast<int>(f.rows), C::BM, [&](int number, int begin) {
        if (f.causal)
          begin = (static_cast<int>(f.rows) - 1) / C::BM * C::BM - begin;
        const int first = begin + of_warp;
        const Head<T, int> head(f, number);
        const Matrix<T> all = matrix_of(s.gs, head.place);
        const Scores<T, EXTRA, false> scores(head);
        const Source<T, D> keys(head.k, f.keys, f.inner), values(head.v, f.keys, f.outer);
        const bool every = EXTRA && all.at; // also what is hidden
        const int last = every ? head.keys : head.last_key(begin + C::BM);
        Source<T, D>(head.q, f.rows, f.inner).template fetch<C::BM>(q, begin);
        Source<T, D>(matrix_of(s.g, head.place), f.rows, f.outer).template fetch<C::BM>(g, begin);
        keys.template fetch<C::BN>(k, 0), values.template fetch<C::BN>(v, 0);
        commit_copies();
        float lse[MT][2], sum[MT][2];
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const index row = first + row_in(i, 2 * h);
            lse[i][h] = row < f.rows ? f.lse[number * index(f.rows) + row] * log2_e : 0;
            sum[i][h] = row < f.rows ? both[number * index(f.rows) + row] : 0;
          }
        wait_copies<0>();
        __syncthreads();
        Left<Kind, D, MT, true> queries(q + of_warp * C::line), grads(g + of_warp * C::line);
        float gq[MT][D / 8][4] = {};
        int stage = 0;
        for (int j = 0; j < last; j += C::BN) {
          const T *k_now = k + stage * stage_size, *v_now = v + stage * stage_size;
          stage ^= 1;
          if (j + C::BN < last) {
            keys.template fetch<C::BN>(k + stage * stage_size, j + C::BN);
            values.template fetch<C::BN>(v + stage * stage_size, j + C::BN);
          }
          commit_copies();
#pragma unroll 1
          for (int c = j; c < j + C::BN; c += chunk) {
            if (!every && f.causal && c >= first + 16 * MT)
              break; // hidden from all rows of this warp
            float x[MT][NT][4] = {}, into[MT][NT][4] = {};
            queries.dots(x, k_now);
            grads.dots(into, v_now);
            scores.finish(x, first, c);
            scores.drop(into, first, c);
            each<MT, NT>([&](int i, int n, int e) {
              const float p = exp2_of(x[i][n][e] * scores.unit - lse[i][e / 2]);
              x[i][n][e] = p * (into[i][n][e] - sum[i][e / 2]);
            });
            if (every)
              scores.over(x, first, c, [&](float one, int row, int key) {
                if (row < head.rows && key < head.keys)
                  narrow(one, all(row, key));
              });
            add_product<Kind>(gq, x, k_now);
            k_now += chunk * C::line, v_now += chunk * C::line;
          }
          wait_copies<0>();
          __syncthreads();
        }
        write_rows<Kind>(gq, matrix_of(s.gq, Place(f.lead, number)), first, head.rows,
                         static_cast<int>(f.inner), head.scale);
      });
}

template <class Kind, int D, bool EXTRA>
__global__ void __launch_bounds__(mma_threads, 2)
    attend_grad_keys_mma(const AttentionGrad<typename Kind::Number> s, const float *both) {
  using T = typename Kind::Number;
  using C = GradCut<D, EXTRA>;
  constexpr int MT = C::MT, NT = chunk / 8, stage_size = C::BN * C::line;
  DYNAMIC_SHARED(T, k);
  T *const v = k + C::BM * C::line, *const q = v + C::BM * C::line, *const g = q + 2 * stage_size;
  float *const stats = reinterpret_cast<float *>(g + 2 * stage_size); // two stages of lse and sums
  const Attention<T> &f = s.forward;
  const int of_warp = static_cast<int>(threadIdx.x) / warp * 16 * MT;
  each_share(
      static_cast<int>(f.lead.count), static_cast<int>(f.keys), C::BM, [&](int number, int begin) {
        const int first = begin + of_warp;
        const Head<T, int> head(f, number);
        const Scores<T, EXTRA, true> scores(head);
        const Source<T, D> queries(head.q, f.rows, f.inner);
        const Source<T, D> grads(matrix_of(s.g, head.place), f.rows, f.outer);
        const auto fetch = [&](int stage, int j) {
          queries.template fetch<C::BN>(q + stage * stage_size, j);
          grads.template fetch<C::BN>(g + stage * stage_size, j);
          const int r = threadIdx.x % C::BN, which = static_cast<int>(threadIdx.x) / C::BN;
          if (which < 2) {
            const float *from = (which ? both : f.lse) + number * index(f.rows);
            const bool inside = j + r < head.rows;
            copy_async<4>(stats + (2 * stage + which) * C::BN + r, inside ? from + j + r : from,
                          inside ? 4 : 0);
          }
        };
        Source<T, D>(head.k, f.keys, f.inner).template fetch<C::BM>(k, begin);
        Source<T, D>(head.v, f.keys, f.outer).template fetch<C::BM>(v, begin);
        const int start =
            f.causal ? begin / C::BN * C::BN : 0; // queries before see none of the keys
        if (start < head.rows)
          fetch(0, start);
        commit_copies();
        wait_copies<0>();
        __syncthreads();
        Left<Kind, D, MT, D == 64 && EXTRA> keys(k + of_warp * C::line),
            values(v + of_warp * C::line);
        float gk[MT][D / 8][4] = {}, gv[MT][D / 8][4] = {};
        int stage = 0;
        for (int j = start; j < head.rows; j += C::BN) {
          const T *q_now = q + stage * stage_size, *g_now = g + stage * stage_size;
          const float *lse = stats + 2 * stage * C::BN;
          stage ^= 1;
          if (j + C::BN < head.rows)
            fetch(stage, j + C::BN);
          commit_copies();
#pragma unroll 1
          for (int c = 0; c < C::BN; c += chunk) {
            if (!f.causal || j + c + chunk > first) { // some query may see some of the warp's keys
              float x[MT][NT][4] = {}, into[MT][NT][4] = {};
              keys.dots(x, q_now);
              values.dots(into, g_now);
              scores.finish(x, first, j + c);
              scores.drop(into, first, j + c);
#pragma unroll
              for (int n = 0; n < NT; ++n)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                  const int at = c + column_in(n, e);
                  const float shift = lse[at] * log2_e, sum = lse[C::BN + at];
#pragma unroll
                  for (int i = 0; i < MT; ++i)
#pragma unroll
                    for (int h = e; h < 4; h += 2) { // both halves of the rows
                      x[i][n][h] = exp2_of(x[i][n][h] * scores.unit - shift);
                      into[i][n][h] = x[i][n][h] * (into[i][n][h] - sum);
                    }
                }
              scores.drop(x, first, j + c);
              add_product<Kind>(gv, x, g_now);
              add_product<Kind>(gk, into, q_now);
            }
            q_now += chunk * C::line, g_now += chunk * C::line;
          }
          wait_copies<0>();
          __syncthreads();
        }
        const Place place(f.lead, number);
        write_rows<Kind>(gk, matrix_of(s.gk, place), first, head.keys, static_cast<int>(f.inner),
                         head.scale);
        write_rows<Kind>(gv, matrix_of(s.gv, place), first, head.keys, static_cast<int>(f.outer),
                         1);
      });
}

} // namespace tinygrad_ai::cuda
