// What ptx.cuh's instructions mean, for the simulator: written from the PTX ISA's description of
// each instruction and of how matrices are spread over the lanes of a warp.

#pragma once

#include "cusim.h"

inline unsigned __float_as_uint(float x) {
  unsigned u;
  memcpy(&u, &x, 4);
  return u;
}
inline float __uint_as_float(unsigned u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

namespace tinygrad_ai::cuda {

// To the nearest, ties to even; NaN stays NaN.
inline unsigned short bf16_of_float(float x) {
  const unsigned u = __float_as_uint(x);
  if (x != x)
    return 0x7fff;
  return static_cast<unsigned short>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
inline float float_of_bf16(unsigned short bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}
inline unsigned short f16_of_float(float x) {
  if (x != x)
    return 0x7fff;
  const unsigned sign = __float_as_uint(x) >> 16 & 0x8000;
  const float size = std::fabs(x);
  if (size >= 65520.0f) // rounds to infinity
    return static_cast<unsigned short>(sign | 0x7c00);
  if (size == 0)
    return static_cast<unsigned short>(sign);
  int exponent;
  std::frexp(size, &exponent); // size = [0.5, 1) 2^exponent
  const int unit = std::max(exponent - 11, -24);
  const unsigned whole = static_cast<unsigned>(std::nearbyint(std::ldexp(size, -unit)));
  // a mantissa that rounded up to 2048 runs over into the exponent, as it should
  const unsigned bits = unit == -24 ? whole : ((unit + 24) << 10) + whole;
  return static_cast<unsigned short>(sign | bits);
}
inline float float_of_f16(unsigned short bits) {
  float size = __uint_as_float((bits & 0x7fffu) << 13) * 0x1p112f; // the exponents' difference
  if ((bits & 0x7c00) == 0x7c00)
    size = bits & 1023 ? NAN : INFINITY;
  return bits & 0x8000 ? -size : size;
}

inline unsigned bf16_pair(float low, float high) {
  return bf16_of_float(low) | static_cast<unsigned>(bf16_of_float(high)) << 16;
}
inline unsigned f16_pair(float low, float high) {
  return f16_of_float(low) | static_cast<unsigned>(f16_of_float(high)) << 16;
}
inline float exp2_of(float x) {
  const float y = std::exp2(x);
  return y < std::numeric_limits<float>::min() ? 0 : y; // NaN stays
}

template <int BYTES> inline void copy_async(void *to, const void *from, int bytes) {
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % BYTES)
    cusim::fail("cp.async: misaligned address");
  cusim::async_copy(to, from, BYTES, bytes);
}
inline void commit_copies() { cusim::async_commit(); }
template <int KEEP> inline void wait_copies() { cusim::async_wait(KEEP); }

inline unsigned tf32_of_float(float x) { // to the nearest, ties away from zero
  const unsigned u = __float_as_uint(x);
  return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
}
inline float float_of_tf32(unsigned u) { // NaN's payload may be in the bits that are cut off
  const float x = __uint_as_float(u);
  return x != x ? x : __uint_as_float(u & 0xffffe000u);
}

// The mma instructions, given how many numbers a register holds and how to read one.
// Lane 4 g + t holds of a the rows g and g + 8, of b the column g, of d the columns 2 t and 2 t
// + 1.
template <int PER, class Read>
inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Read read) {
  struct Parts {
    unsigned a[4], b[2];
  } mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const int lane = cusim::self().lane;
  cusim::collective(
      0xffffffffu, mine,
      [&](auto of) {
        for (int i = 0; i < 4; ++i) {
          const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
          float sum = d[i];
          for (int k = 0; k < 8 * PER; ++k) {
            const int t = k / PER % 4, half = k / PER / 4;
            const unsigned x = of(row % 8 * 4 + t).a[row / 8 + 2 * half];
            const unsigned y = of(column * 4 + t).b[half];
            sum += read(x, k % PER) * read(y, k % PER);
          }
          d[i] = sum;
        }
      },
      __LINE__);
}
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma<1>(d, a, b, [](unsigned u, int) { return float_of_tf32(u); });
}
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma<2>(d, a, b, [](unsigned u, int i) { return float_of_bf16(u >> 16 * i & 0xffff); });
}
inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma<2>(d, a, b, [](unsigned u, int i) { return float_of_f16(u >> 16 * i & 0xffff); });
}

// Not inlined into what the sanitizers do not see.
__attribute__((noinline)) inline unsigned pair_at(const unsigned short *low,
                                                  const unsigned short *high) {
  return *low | static_cast<unsigned>(*high) << 16;
}
template <bool TRANSPOSED>
inline void load_matrices(unsigned (&to)[4], const unsigned short *row) {
  if (reinterpret_cast<uintptr_t>(row) % 16)
    cusim::fail("ldmatrix: misaligned address");
  const int lane = cusim::self().lane;
  cusim::collective(
      0xffffffffu, row,
      [&](auto of) {
        const int r = lane / 4, c = lane % 4 * 2;
        for (int i = 0; i < 4; ++i)
          to[i] = TRANSPOSED ? pair_at(of(8 * i + c) + r, of(8 * i + c + 1) + r)
                             : pair_at(of(8 * i + r) + c, of(8 * i + r) + c + 1);
      },
      __LINE__);
}

} // namespace tinygrad_ai::cuda
