// The linear layer on tensor cores, for every GPU since sm_80: mma.sync fed from shared memory, and
// shared memory fed by asynchronous copies, a few tiles ahead.
//
// One kernel for y, gx and gw: how a and b lie in memory only changes how a tile is staged and how
// a lane finds its part of it. One kernel for three kinds of numbers: float32 rounded to TF32 (10
// bits of mantissa, sums in float32), bfloat16 and float16.

#pragma once

#include "finish.cuh"

namespace tinygrad_ai::cuda {

// BM x BN: a block's part of c; WM x WN: a warp's; BK: the steps along k in a tile.
template <int BM_, int BN_, int BK_, int WM_, int WN_, int STAGES_> struct Shape {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, WM = WM_, WN = WN_, stages = STAGES_;
  static constexpr int threads = BM / WM * (BN / WN) * 32;
};

// A tile in shared memory: SIZE x BK numbers, the lines along k or across it. A line is a little
// longer than its numbers, so that the parts a warp reads together lie in different banks.
template <class T, int SIZE, int BK, bool ALONG_K> struct Tile {
  static constexpr bool along_k = ALONG_K;
  static constexpr int lines = ALONG_K ? SIZE : BK, width = ALONG_K ? BK : SIZE;
  static constexpr int line = width + (sizeof(T) == 2 || !ALONG_K ? 8 : 4);
  static constexpr int numbers = lines * line;
};

// What one kind of numbers multiplies at a time, and where a lane finds its part. `a_part` is for
// 16 rows of a, `b_part` for 16 columns of b, which is two products; r, c and k are where they
// begin in the tile.
struct Tf32 {
  using Number = float;
  static constexpr int depth = 8; // steps along k in one product
  static constexpr int stages = 3;

  template <class A>
  ON_DEVICE static void a_part(unsigned (&part)[4], const float *tile, int r, int k) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = r + lane / 4 + i % 2 * 8, step = k + lane % 4 + i / 2 * 4;
      part[i] = tf32_of_float(tile[A::along_k ? row * A::line + step : step * A::line + row]);
    }
  }
  template <class B>
  ON_DEVICE static void b_part(unsigned (&part)[2][2], const float *tile, int c, int k) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = c + j * 8 + lane / 4, step = k + lane % 4 + i * 4;
        part[j][i] =
            tf32_of_float(tile[B::along_k ? column * B::line + step : step * B::line + column]);
      }
  }
  ON_DEVICE static void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_tf32(d, a, b);
  }
};

// Four 8 x 8 matrices make a 16 x 16 part; lane i names a line of matrix i / 8. In a's registers
// the two halves of the rows come first, in b's the two halves of the steps.
template <class T> struct Halves {
  using Number = T;
  static constexpr int depth = 16;
  static constexpr int stages = 4;

  template <class A>
  ON_DEVICE static void a_part(unsigned (&part)[4], const T *tile, int r, int k) {
    const int lane = threadIdx.x % 32, in = lane % 8, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    const T *at = A::along_k ? tile + (r + in + low) * A::line + k + high
                             : tile + (k + in + high) * A::line + r + low;
    load_matrices<!A::along_k>(part, &at->bits);
  }
  template <class B>
  ON_DEVICE static void b_part(unsigned (&part)[2][2], const T *tile, int c, int k) {
    const int lane = threadIdx.x % 32, in = lane % 8, low = lane / 8 % 2 * 8, high = lane / 16 * 8;
    const T *at = B::along_k ? tile + (c + in + high) * B::line + k + low
                             : tile + (k + in + low) * B::line + c + high;
    unsigned four[4];
    load_matrices<!B::along_k>(four, &at->bits);
#ifdef PLANT_MATRICES_SWAPPED
    part[0][0] = four[0], part[0][1] = four[2], part[1][0] = four[1], part[1][1] = four[3];
#else
    part[0][0] = four[0], part[0][1] = four[1], part[1][0] = four[2], part[1][1] = four[3];
#endif
  }
};
struct Bf16 : Halves<bf16> {
  ON_DEVICE static void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_bf16(d, a, b);
  }
  ON_DEVICE static unsigned pair(float low, float high) { return bf16_pair(low, high); }
};
struct F16 : Halves<f16> {
  ON_DEVICE static void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_f16(d, a, b);
  }
  ON_DEVICE static unsigned pair(float low, float high) { return f16_pair(low, high); }
};

ON_DEVICE void copy_one(float *to, const float *from, bool inside) {
  copy_async<4>(to, from, inside ? 4 : 0);
}
template <class T> ON_DEVICE void copy_one(T *to, const T *from, bool inside) {
  *to = inside ? *from : T{}; // asynchronous copies begin at four bytes
}

// Begins to stage a tile of a (lines, width) matrix, from line l0 and place w0 on; zeros outside.
// WIDE: its lines begin on 16 bytes, and can be copied in such pieces.
template <class T, class Tile_, int THREADS, bool WIDE>
ON_DEVICE void stage_tile(T *to, const T *from, int l0, int w0, int lines, int width) {
  if constexpr (WIDE) {
    constexpr int each = 16 / sizeof(T);
    constexpr int across = Tile_::width / each, all = Tile_::lines * across;
#pragma unroll
    for (int i = threadIdx.x; i < all; i += THREADS) {
      const int l = i / across, w = i % across * each;
      int left = l0 + l < lines ? width - w0 - w : 0;
      left = left < 0 ? 0 : left < each ? left : each;
      const index at = left ? static_cast<index>(l0 + l) * width + w0 + w : 0;
      copy_async<16>(to + l * Tile_::line + w, from + at, left * static_cast<int>(sizeof(T)));
    }
  } else {
#pragma unroll 4
    for (int i = threadIdx.x; i < Tile_::lines * Tile_::width; i += THREADS) {
      const int l = i / Tile_::width, w = i % Tile_::width;
      const bool inside = l0 + l < lines && w0 + w < width;
      const index at = inside ? static_cast<index>(l0 + l) * width + w0 + w : 0;
      copy_one(to + l * Tile_::line + w, from + at, inside);
    }
  }
}

// a's and b's tiles for one block of c, STAGES of each in shared memory.
template <class Kind, Layout L, class S, bool WIDE> struct Stages {
  using T = typename Kind::Number;
  using A = Tile<T, S::BM, S::BK, L != Layout::tn>;
  using B = Tile<T, S::BN, S::BK, L == Layout::nt>;
  static constexpr int bytes = S::stages * (A::numbers + B::numbers) * sizeof(T);

  T *shared;
  ON_DEVICE T *a(int tile) const { return shared + tile % S::stages * A::numbers; }
  ON_DEVICE T *b(int tile) const {
    return shared + S::stages * A::numbers + tile % S::stages * B::numbers;
  }
  ON_DEVICE void fetch(const LinearProduct<T> &p, int tile, int i0, int j0) const {
    const int m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
    const int k0 = tile * S::BK;
    if (k0 < k) {
      if constexpr (A::along_k)
        stage_tile<T, A, S::threads, WIDE>(a(tile), p.a, i0, k0, m, k);
      else
        stage_tile<T, A, S::threads, WIDE>(a(tile), p.a, k0, i0, k, m);
      if constexpr (B::along_k)
        stage_tile<T, B, S::threads, WIDE>(b(tile), p.b, j0, k0, n, k);
      else
        stage_tile<T, B, S::threads, WIDE>(b(tile), p.b, k0, j0, k, n);
    }
    commit_copies(); // of nothing, too: the groups are counted
  }
};

// Which tile of c a block computes: eight rows of tiles at a time, so that blocks that run together
// read the same parts of a and b, and find them in the cache.
ON_DEVICE void tile_of_block(int down, int across, int &i, int &j) {
  const int id = blockIdx.x, group = id / (8 * across), in = id % (8 * across);
  const int height = down - group * 8 < 8 ? down - group * 8 : 8;
  i = group * 8 + in % height;
  j = in / height;
}

template <class Kind, Layout L, class S, bool WIDE>
__global__ void __launch_bounds__(S::threads, 512 / S::threads)
    tensor_core_kernel(LinearProduct<typename Kind::Number> p) {
  using All = Stages<Kind, L, S, WIDE>;
  constexpr int MI = S::WM / 16, NI = S::WN / 16;
  DYNAMIC_SHARED(typename Kind::Number, shared);
  const All all{shared};
  const int tiles = static_cast<int>((p.k + S::BK - 1) / S::BK);
  int i0, j0;
  tile_of_block(static_cast<int>((p.m + S::BM - 1) / S::BM),
                static_cast<int>((p.n + S::BN - 1) / S::BN), i0, j0);
  i0 *= S::BM, j0 *= S::BN;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int wi = warp / (S::BN / S::WN) * S::WM, wj = warp % (S::BN / S::WN) * S::WN;
  for (int tile = 0; tile < S::stages - 1; ++tile)
    all.fetch(p, tile, i0, j0);

  float sum[MI][2 * NI][4] = {};
  for (int tile = 0; tile < tiles; ++tile) {
#ifndef PLANT_NO_COPY_WAIT
    wait_copies<S::stages - 2>(); // this thread's part of the tile is there,
#endif
#ifndef PLANT_TENSOR_NO_BARRIER
    __syncthreads(); // and all others'; and nobody reads the stage that is filled next
#endif
    all.fetch(p, tile + S::stages - 1, i0, j0);
#pragma unroll
    for (int k = 0; k < S::BK; k += Kind::depth) {
      unsigned a[MI][4], b[NI][2][2];
#pragma unroll
      for (int i = 0; i < MI; ++i)
        Kind::template a_part<typename All::A>(a[i], all.a(tile), wi + i * 16, k);
#pragma unroll
      for (int j = 0; j < NI; ++j)
        Kind::template b_part<typename All::B>(b[j], all.b(tile), wj + j * 16, k);
#pragma unroll
      for (int i = 0; i < MI; ++i)
#pragma unroll
        for (int j = 0; j < 2 * NI; ++j)
          Kind::multiply(sum[i][j], a[i], b[j / 2][j % 2]);
    }
  }
  wait_copies<0>();
#pragma unroll
  for (int i = 0; i < MI; ++i)
#pragma unroll
    for (int j = 0; j < 2 * NI; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        finish(p, i0 + wi + i * 16 + lane / 4 + e / 2 * 8, j0 + wj + j * 8 + lane % 4 * 2 + e % 2,
               sum[i][j][e]);
}

} // namespace tinygrad_ai::cuda
