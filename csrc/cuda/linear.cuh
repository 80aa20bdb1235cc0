// The linear layer without tensor cores: first the kernel to read, then the one to use.

#pragma once

#include "finish.cuh"

namespace tinygrad_ai::cuda {

// One thread for each number of y = f(x wᵀ + b). A block of SIDE x SIDE threads computes a tile of
// y; for every SIDE steps along k it stages a tile of x and one of w in shared memory, where each
// number is read SIDE times.
template <class T, int SIDE> __global__ void tiled_kernel(LinearProduct<T> p) {
  constexpr int LINE = SIDE + 1; // one more, or a column of w's tile would lie in one bank
  DYNAMIC_SHARED(T, shared);
  T *xs = shared, *ws = shared + SIDE * LINE;
  const int m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  const int across = (n + SIDE - 1) / SIDE;
  const int i0 = blockIdx.x / across * SIDE, j0 = blockIdx.x % across * SIDE;
  const int tx = threadIdx.x, ty = threadIdx.y;
  T sum = 0;
  for (int k0 = 0; k0 < k; k0 += SIDE) {
    const int i = i0 + ty, j = j0 + ty, kk = k0 + tx;
#ifdef PLANT_LOAD_PAST_END
    xs[ty * LINE + tx] = i <= m && kk < k ? p.a[static_cast<index>(i) * k + kk] : T(0);
#else
    xs[ty * LINE + tx] = i < m && kk < k ? p.a[static_cast<index>(i) * k + kk] : T(0);
#endif
    ws[ty * LINE + tx] = j < n && kk < k ? p.b[static_cast<index>(j) * k + kk] : T(0);
#ifndef PLANT_TILED_NO_BARRIER
    __syncthreads(); // the tiles are there
#endif
#pragma unroll
    for (int s = 0; s < SIDE; ++s)
      sum += xs[ty * LINE + s] * ws[tx * LINE + s];
    __syncthreads(); // nobody reads them any more
  }
#ifdef PLANT_SHARED_PAST_END
  if (tx == 0 && ty == 0)
    ws[SIDE * LINE] = 1;
#endif
  finish(p, i0 + ty, j0 + tx, sum);
}

// Each thread computes TM x TN numbers in registers: a number read from shared memory serves TN or
// TM products, where `tiled_kernel` reads two for each. All three layouts; the tiles are stored
// with k outside, so that a thread's numbers for one step lie side by side.
template <int BM_, int BN_, int BK_, int TM_, int TN_> struct Blocking {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
  static constexpr int threads = BM / TM * (BN / TN);
  static constexpr int a_line = BM + 4, b_line = BN + 4; // 4: whole vectors, and other banks
  static constexpr int numbers = BK * (a_line + b_line);
};

// The place in a tile of a thread's i-th row or column: fours, spread over the tile, so that the
// threads of a warp read neighbouring vectors.
template <int SIZE, int EACH> ON_DEVICE int place(int thread, int i) {
  return i / 4 * (SIZE / (EACH / 4)) + thread * 4 + i % 4;
}

// ROWS x BK numbers from row r0 and step k0 on, into to[step][row]. The matrix is (rows, k), or
// (k, rows) if ALONG_K is false; the threads run along its lines.
template <class T, int ROWS, int BK, int THREADS, bool ALONG_K>
ON_DEVICE void stage(T *to, const T *from, int r0, int k0, int rows, int k) {
  constexpr int LINE = ROWS + 4;
#pragma unroll
  for (int s = 0; s < ROWS * BK / THREADS; ++s) {
    const int i = s * THREADS + threadIdx.x;
    const int r = ALONG_K ? i / BK : i % ROWS, step = ALONG_K ? i % BK : i / ROWS;
    const bool inside = r0 + r < rows && k0 + step < k;
    const index at = ALONG_K ? static_cast<index>(r0 + r) * k + k0 + step
                             : static_cast<index>(k0 + step) * rows + r0 + r;
    to[step * LINE + r] = inside ? from[at] : T(0);
  }
}

template <class T, Layout L, class B>
__global__ void __launch_bounds__(B::threads) blocked_kernel(LinearProduct<T> p) {
  DYNAMIC_SHARED(T, shared);
  T *as = shared, *bs = shared + B::BK * B::a_line;
  const int m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  const int across = (n + B::BN - 1) / B::BN;
  const int i0 = blockIdx.x / across * B::BM, j0 = blockIdx.x % across * B::BN;
  const int ti = threadIdx.x / (B::BN / B::TN), tj = threadIdx.x % (B::BN / B::TN);
  T sum[B::TM][B::TN] = {};
  for (int k0 = 0; k0 < k; k0 += B::BK) {
    stage<T, B::BM, B::BK, B::threads, L != Layout::tn>(as, p.a, i0, k0, m, k);
    stage<T, B::BN, B::BK, B::threads, L == Layout::nt>(bs, p.b, j0, k0, n, k);
    __syncthreads();
#pragma unroll
    for (int step = 0; step < B::BK; ++step) {
      T a[B::TM], b[B::TN];
#pragma unroll
      for (int i = 0; i < B::TM; ++i)
        a[i] = as[step * B::a_line + place<B::BM, B::TM>(ti, i)];
#pragma unroll
      for (int j = 0; j < B::TN; ++j)
        b[j] = bs[step * B::b_line + place<B::BN, B::TN>(tj, j)];
#pragma unroll
      for (int i = 0; i < B::TM; ++i)
#pragma unroll
        for (int j = 0; j < B::TN; ++j)
          sum[i][j] += a[i] * b[j];
    }
#ifndef PLANT_BLOCKED_NO_BARRIER
    __syncthreads();
#endif
  }
#pragma unroll
  for (int i = 0; i < B::TM; ++i)
#pragma unroll
    for (int j = 0; j < B::TN; ++j)
      finish(p, i0 + place<B::BM, B::TM>(ti, i), j0 + place<B::BN, B::TN>(tj, j), sum[i][j]);
}

} // namespace tinygrad_ai::cuda
