// What this processor can do at most, to hold measured times against: its rate of multiply-adds,
// and its rate of moving an optimizer's arrays.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

// Chains that do not wait for each other: enough to fill two units four or five steps deep, and few
// enough to stay in registers (32 with AVX-512, 16 without).
constexpr int chains = VEC_BYTES == 64 ? 24 : 12;

// The loops over s are unrolled to the last: one that is not makes s an array in memory.
template <class T> __attribute__((noinline)) void multiply_add_part(index rounds) {
  using V = typename Vec<T>::type;
  V s[chains], a = V{} + T(0.5), b = V{} + T(1);
  UNROLL for (int i = 0; i < chains; ++i) s[i] = V{} + T(i);
  for (index r = 0; r < rounds; ++r) {
    UNROLL for (int i = 0; i < chains; ++i) s[i] = s[i] * a + b;
  }
  V total{};
  UNROLL for (int i = 0; i < chains; ++i) total += s[i];
  volatile T used = sum_of(total); // or the compiler drops it all
  (void)used;
}

// Does `rounds` on every thread; the number of operations, a multiply-add counted as two.
template <class T> double multiply_add(index rounds, int threads) {
  parallel(threads, 1, 1, threads,
           [&](index i, index end) { multiply_add_part<T>((end - i) * rounds); });
  return 2.0 * chains * Vec<T>::width * double(rounds) * threads;
}

template <class T> void stream_part(const Stream<T> &s, index begin, index end) {
  T *__restrict p = s.p, *__restrict m = s.m, *__restrict v = s.v;
  const T *__restrict g = s.g;
  for (index i = begin; i < end; ++i) {
    p[i] = T(0.5) * p[i] + g[i];
    m[i] = T(0.5) * m[i] + g[i];
    v[i] = T(0.5) * v[i] + g[i];
  }
}

// Adam's traffic without its arithmetic, `passes` times; the number of bytes read and written.
template <class T> double stream(const Stream<T> &s, int threads) {
  parallel(s.count, 64, 8192, threads, [&](index i, index end) {
    for (index pass = 0; pass < s.passes; ++pass)
      stream_part(s, i, end);
  });
  return 7.0 * sizeof(T) * double(s.count) * double(s.passes);
}

} // namespace tinygrad_ai::ISA
