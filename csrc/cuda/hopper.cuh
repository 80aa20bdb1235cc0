// NEVER YET RUN: this kernel compiles for sm_90a, and no GPU has seen it. The simulator does not
// know its instructions. Compare it with tensor_core.cuh's answers before you trust it.
//
// y = f(x wᵀ + b) in bfloat16 with what Hopper alone has: the copy engine (TMA) brings tiles into
// shared memory on its own, and wgmma multiplies them where they lie, 128 threads together. One
// warpgroup does nothing but order copies, two multiply; barriers in shared memory tell them which
// tiles are full and which are free.

#pragma once

#include <cuda.h>

#include "finish.cuh"

namespace tinygrad_ai::cuda {

struct HopperTile {
  static constexpr int BM = 256, BN = 128, BK = 64; // BK: 128 bytes, as wide as the swizzle
  static constexpr int stages = 4, threads = 384;
  static constexpr int x_bytes = BM * BK * 2, w_bytes = BN * BK * 2;
  static constexpr int bytes = stages * (x_bytes + w_bytes) + 2 * stages * 8 + 1024;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

using Barrier = unsigned long long;

ON_DEVICE void barrier_init(Barrier *b, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals));
}
ON_DEVICE void barrier_arrive(Barrier *b) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
ON_DEVICE void barrier_expect(Barrier *b, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(b)),
               "r"(bytes)
               : "memory");
}
ON_DEVICE void barrier_wait(Barrier *b, int parity) {
  unsigned done = 0;
  while (!done)
    asm volatile("{\n.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(shared_address(b)), "r"(parity)
                 : "memory");
}

// Orders a tile from step k and row r on; what lies outside the matrix comes as zeros.
ON_DEVICE void order_tile(void *to, const CUtensorMap *from, Barrier *full, int k, int r) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
               "l"(from), "r"(shared_address(full)), "r"(k), "r"(r)
               : "memory");
}

// Tells wgmma where a tile lies: lines along k, swizzled by 128 bytes, eight lines every 1024.
ON_DEVICE unsigned long long described(const void *tile) {
  const unsigned long long address = (shared_address(tile) & 0x3ffff) >> 4;
  return address | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

#define D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D16(i) D4(i), D4(i + 4), D4(i + 8), D4(i + 12)

// d (64, 128) += x (64, 16) w (128, 16)ᵀ, a warpgroup together.
ON_DEVICE void wgmma(float (&d)[64], unsigned long long x, unsigned long long w) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
               "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
               "%64, %65, add, 1, 1, 0, 0;\n}"
               : D16(0), D16(16), D16(32), D16(48)
               : "l"(x), "l"(w), "r"(1));
}

#undef D16
#undef D4

// The warpgroup that orders copies; one thread of it does.
ON_DEVICE void produce(unsigned char *xs, unsigned char *ws, Barrier *full, Barrier *empty,
                       const CUtensorMap *x, const CUtensorMap *w, int i0, int j0, int tiles) {
  using S = HopperTile;
  if (threadIdx.x != 0)
    return;
  for (int t = 0; t < tiles; ++t) {
    const int s = t % S::stages;
    if (t >= S::stages)
      barrier_wait(empty + s, (t / S::stages - 1) & 1);
    barrier_expect(full + s, S::x_bytes + S::w_bytes);
    order_tile(xs + s * S::x_bytes, x, full + s, t * S::BK, i0);
    order_tile(ws + s * S::w_bytes, w, full + s, t * S::BK, j0);
  }
}

// A warpgroup that multiplies: 128 rows, as two products of 64.
ON_DEVICE void consume(float (&sum)[2][64], const unsigned char *xs, const unsigned char *ws,
                       Barrier *full, Barrier *empty, int tiles) {
  using S = HopperTile;
  for (int t = 0; t < tiles; ++t) {
    const int s = t % S::stages;
    barrier_wait(full + s, (t / S::stages) & 1);
    const unsigned long long w = described(ws + s * S::w_bytes);
    const unsigned long long x0 = described(xs + s * S::x_bytes);
    const unsigned long long x1 = described(xs + s * S::x_bytes + 64 * S::BK * 2);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int k = 0; k < S::BK / 16; ++k) { // 16 steps are 32 bytes, 2 of the address's units
      wgmma(sum[0], x0 + 2 * k, w + 2 * k);
      wgmma(sum[1], x1 + 2 * k, w + 2 * k);
    }
    asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::: "memory");
    if (threadIdx.x % 32 == 0)
      barrier_arrive(empty + s);
  }
}

// A lane holds, of each 8 columns, two neighbours in row lane / 4 and two in the row 8 below.
ON_DEVICE void store_sums(const LinearProduct<bf16> &p, const float (&sum)[2][64], int i0, int j0) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int e = 0; e < 64; ++e)
      finish(p, i0 + half * 64 + warp * 16 + lane / 4 + e / 2 % 2 * 8,
             j0 + e / 4 * 8 + lane % 4 * 2 + e % 2, sum[half][e]);
}

#endif

static __global__ void __launch_bounds__(HopperTile::threads, 1)
    hopper_kernel(const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap w,
                  LinearProduct<bf16> p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using S = HopperTile;
  DYNAMIC_SHARED(unsigned char, shared);
  unsigned char *xs = shared + (1024 - shared_address(shared) % 1024) % 1024; // for the swizzle
  unsigned char *ws = xs + S::stages * S::x_bytes;
  Barrier *full = reinterpret_cast<Barrier *>(ws + S::stages * S::w_bytes);
  Barrier *empty = full + S::stages;
  const int tiles = static_cast<int>((p.k + S::BK - 1) / S::BK);
  const int down = static_cast<int>((p.m + S::BM - 1) / S::BM);
  const int i0 = blockIdx.x % down * S::BM, j0 = blockIdx.x / down * S::BN;
  if (threadIdx.x == 0) {
    for (int s = 0; s < S::stages; ++s) {
      barrier_init(full + s, 1);
      barrier_init(empty + s, 8); // the warps that multiply
    }
    asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async;" ::: "memory");
  }
  __syncthreads();
  const int group = threadIdx.x / 128;
  if (group == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;"); // it needs few; the others get the rest
    produce(xs, ws, full, empty, &x, &w, i0, j0, tiles);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    float sum[2][64] = {};
    const int first = (group - 1) * 128;
    consume(sum, xs + first * S::BK * 2, ws, full, empty, tiles);
    store_sums(p, sum, i0 + first, j0);
  }
#else
  __trap(); // the launcher asks for the GPU first
#endif
}

} // namespace tinygrad_ai::cuda
