// Work divided among threads.

#pragma once

#include <omp.h>

#include "vec.h"

namespace tinygrad_ai::ISA {

struct Range {
  index begin, end;
};

// The part of [0, count) that thread t of n does, in whole multiples of `unit`.
ALWAYS_INLINE Range part(index count, int t, int n, index unit) {
  index units = (count + unit - 1) / unit;
  return {smaller(count, units * t / n * unit), smaller(count, units * (t + 1) / n * unit)};
}

// work(begin, end) on parts of [0, count), by as many threads as have at least `least` to do.
template <class F> void parallel(index count, index unit, index least, int threads, const F &work) {
  index useful = count / (least > 0 ? least : 1);
  int n = static_cast<int>(smaller<index>(threads, useful > 0 ? useful : 1));
  if (n <= 1) {
    if (count > 0)
      work(index{0}, count);
    return;
  }
#pragma omp parallel num_threads(n)
  {
    Range r = part(count, omp_get_thread_num(), omp_get_num_threads(), unit);
    if (r.begin < r.end)
      work(r.begin, r.end);
  }
}

// work(i, thread) for each i of [0, count); who is free takes the next, for sizes may differ.
template <class F> void each(index count, int threads, const F &work) {
  const int n = static_cast<int>(smaller<index>(threads, count));
  if (n <= 1) {
    for (index i = 0; i < count; ++i)
      work(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(n)
  for (index i = 0; i < count; ++i)
    work(i, omp_get_thread_num());
}

} // namespace tinygrad_ai::ISA
