// Rows of a table, and their gradient.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

template <class T> void embedding(const Embedding<T> &s, int threads) {
  const index least = 1 + 32768 / (s.width > 0 ? s.width : 1);
  parallel(s.count, 1, least, threads, [&](index begin, index end) {
    for (index i = begin; i < end; ++i)
      __builtin_memcpy(s.y + i * s.width, s.w + s.place[i] * s.width, s.width * sizeof(T));
  });
}

// Each thread has some of the features and goes through all places in order: whatever the number of
// threads, every sum is made in the same order, and nobody writes where another does.
template <class T> void embedding_grad(const EmbeddingGrad<T> &s, int threads) {
  const index least = 1 + 65536 / (s.count > 0 ? s.count : 1);
  parallel(s.width, 64 / sizeof(T), least, threads, [&](index begin, index end) {
    for (index i = 0; i < s.count; ++i) {
      if (s.place[i] == s.skip)
        continue;
      const T *__restrict g = s.g + i * s.width;
      T *__restrict y = s.gw + s.place[i] * s.width;
      for (index j = begin; j < end; ++j)
        y[j] += g[j];
    }
  });
}

} // namespace tinygrad_ai::ISA
