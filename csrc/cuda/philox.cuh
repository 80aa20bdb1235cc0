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

// Block `i` of a draw: the counter is offset + i, the key is the seed.
__host__ ON_DEVICE Words random_block(u64 seed, u64 offset, index i) {
  const u64 at = offset + static_cast<u64>(i);
  return philox({{u32(at), u32(at >> 32), 0, 0}}, u32(seed), u32(seed >> 32));
}

// In [0, 1): the upper bits, as many as the type holds, so that nothing rounds up to 1.
ON_DEVICE float unit(u32 bits) { return (bits >> 8) * 0x1p-24f; }
ON_DEVICE double unit(u32 high, u32 low) { return ((u64(high) << 32 | low) >> 11) * 0x1p-53; }

// f(block) for each block of random words: a thread makes one and uses it up.
template <class F> ON_DEVICE void each_block(index count, const F &f) {
  const index step = index(gridDim.x) * element_threads;
  for (index i = index(blockIdx.x) * element_threads + threadIdx.x; i < count; i += step)
    f(i);
}

PLAIN_KERNEL void __launch_bounds__(element_threads)
    uniform_floats(Random s, float *y, index count) {
  each_block((count + 3) / 4, [&](index block) {
    const Words r = random_block(*s.seed, *s.offset, block);
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (block * 4 + k < count)
        y[block * 4 + k] = unit(r.w[k]);
  });
}

PLAIN_KERNEL void __launch_bounds__(element_threads)
    uniform_doubles(Random s, double *y, index count) {
  each_block((count + 1) / 2, [&](index block) {
    const Words r = random_block(*s.seed, *s.offset, block);
#pragma unroll
    for (int k = 0; k < 2; ++k)
      if (block * 2 + k < count)
        y[block * 2 + k] = unit(r.w[2 * k], r.w[2 * k + 1]);
  });
}

PLAIN_KERNEL void __launch_bounds__(element_threads)
    keep_elements(Random s, unsigned char *keep, index count, float drop) {
  each_block((count + 3) / 4, [&](index block) {
    const Words r = random_block(*s.seed, *s.offset, block);
#pragma unroll
    for (int k = 0; k < 4; ++k)
#ifdef PLANT_MASK_BOUND
      if (block * 4 + k <= count)
#else
      if (block * 4 + k < count)
#endif
        keep[block * 4 + k] = unit(r.w[k]) >= drop;
  });
}

PLAIN_KERNEL void __launch_bounds__(element_threads)
    add_to_counters(u64 *counters, index count, u64 by) {
  each_block(count, [&](index i) { counters[i] += by; });
}

// ---- launchers

// Enough for floats, doubles and masks.
inline index random_blocks(index count) { return (count + 1) / 2; }

template <class T> int uniform(const Random &s, T *y, index count, Stream stream) {
  if constexpr (sizeof(T) == sizeof(float)) {
    LAUNCH_ELEMENTS(uniform_floats, (count + 3) / 4, stream, s, y, count);
  } else {
    LAUNCH_ELEMENTS(uniform_doubles, (count + 1) / 2, stream, s, y, count);
  }
}

inline int dropout_mask(const Random &s, unsigned char *keep, index count, double drop,
                        Stream stream) {
  LAUNCH_ELEMENTS(keep_elements, (count + 3) / 4, stream, s, keep, count, float(drop));
}

inline int advance(std::uint64_t *counters, index count, std::uint64_t by, Stream stream) {
  LAUNCH_ELEMENTS(add_to_counters, count, stream, counters, count, by);
}

} // namespace tinygrad_ai::cuda
