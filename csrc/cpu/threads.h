// Work divided among threads.

#pragma once

#include "pool.h"
#include "vec.h"

namespace tinygrad_ai::ISA {

struct Range {
  index begin, end;
};

// Part t of [0, count) in n, in whole multiples of `unit`.
ALWAYS_INLINE Range part(index count, int t, int n, index unit) {
  index units = (count + unit - 1) / unit;
  return {smaller(count, units * t / n * unit), smaller(count, units * (t + 1) / n * unit)};
}

// work(t) for each t in [0, n), by several threads.
template <class F> void on_threads(int n, const F &work) {
  share_out(
      n, [](void *f, int t) { (*static_cast<const F *>(f))(t); },
      const_cast<void *>(static_cast<const void *>(&work)));
}

// work(begin, end) on parts of [0, count), by as many threads as have at least `least` to do.
template <class F> void parallel(index count, index unit, index least, int threads, const F &work) {
  index useful = count / (least > 0 ? least : 1);
  int n = static_cast<int>(smaller<index>(threads, useful > 0 ? useful : 1));
  on_threads(n, [&](int t) {
    Range r = part(count, t, n, unit);
    if (r.begin < r.end)
      work(r.begin, r.end);
  });
}

// work(i, thread) for each i of [0, count); who is free takes the next, for sizes may differ.
template <class F> void each(index count, int threads, const F &work) {
  index next = 0;
  on_threads(static_cast<int>(smaller<index>(threads, count)), [&](int t) {
    for (index i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;)
      work(i, t);
  });
}

} // namespace tinygrad_ai::ISA
