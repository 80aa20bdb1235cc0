// Random numbers that are a function of their place: Philox4x32 with ten rounds (Salmon, Moraes,
// Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). No thread has a state.

#pragma once

#include "elementwise.cuh"

namespace tinygrad_ai::cuda {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

struct Words { // four words: a counter, or four random numbers
  u32 w[4];
};

// Ten rounds of multiplications, whose halves are swapped and mixed with the key.
__host__ ON_DEVICE Words philox(Words c, u32 key0, u32 key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const u64 a = u64(0xD2511F53u) * c.w[0], b = u64(0xCD9E8D57u) * c.w[2];
    c = {{u32(b >> 32) ^ c.w[1] ^ key0, u32(b), u32(a >> 32) ^ c.w[3] ^ key1, u32(a)}};
    key0 += 0x9E3779B9u; // the golden ratio and √3 - 1, as fractions of 2³²
    key1 += 0xBB67AE85u;
  }
  return c;
}

// Block `i` of a draw: the counter is its place, the key is the seed.
__host__ ON_DEVICE Words random_block(u64 seed, u64 first, index i) {
  const u64 at = first + static_cast<u64>(i);
  return philox({{u32(at), u32(at >> 32), 0, 0}}, u32(seed), u32(seed >> 32));
}
ON_DEVICE u64 first_block(const Random &s) { return s.offset + (s.base ? s.base[0] : 0); }
ON_DEVICE u64 key_of(const Random &s) { return s.seed + (s.base ? s.base[1] : 0); }

// In [0, 1): the upper bits, as many as the type holds, so that nothing rounds up to 1.
ON_DEVICE float unit(u32 bits) { return (bits >> 8) * 0x1p-24f; }
ON_DEVICE double unit(u32 high, u32 low) { return ((u64(high) << 32 | low) >> 11) * 0x1p-53; }

// y[i] = f(words, i's place among them) for all i below count, `each` numbers from four words: a
// thread makes a block of words and uses it up.
template <int each, class T, class F>
ON_DEVICE void draw(const Random &s, T *y, index count, const F &f) {
  const u64 first = first_block(s), seed = key_of(s);
  const index step = index(gridDim.x) * element_threads, blocks = (count + each - 1) / each;
  for (index i = index(blockIdx.x) * element_threads + threadIdx.x; i < blocks; i += step) {
    const Words words = random_block(seed, first, i);
#pragma unroll
    for (int k = 0; k < each; ++k)
#ifdef PLANT_MASK_BOUND
      if (i * each + k <= count)
#else
      if (i * each + k < count)
#endif
        y[i * each + k] = f(words, k);
  }
}

PLAIN_KERNEL void __launch_bounds__(element_threads) draw_words(Random s, u32 *y, index count) {
  draw<4>(s, y, count, [](const Words &r, int k) { return r.w[k]; });
}
PLAIN_KERNEL void __launch_bounds__(element_threads) draw_floats(Random s, float *y, index count) {
  draw<4>(s, y, count, [](const Words &r, int k) { return unit(r.w[k]); });
}
PLAIN_KERNEL void __launch_bounds__(element_threads)
    draw_doubles(Random s, double *y, index count) {
  draw<2>(s, y, count, [](const Words &r, int k) { return unit(r.w[2 * k], r.w[2 * k + 1]); });
}
PLAIN_KERNEL void __launch_bounds__(element_threads)
    draw_below(Random s, unsigned char *y, index count, u64 limit) {
  draw<4>(s, y, count, [limit](const Words &r, int k) -> unsigned char { return r.w[k] < limit; });
}

} // namespace tinygrad_ai::cuda
