// What the launchers share.

#pragma once

#include "compat.cuh"
#include "linear.h"

// Leaves the launcher with the error, and with the place where it showed.
#define TRY(call)                                                                                  \
  do {                                                                                             \
    if (const int code = static_cast<int>(call))                                                   \
      return ::tinygrad_ai::cuda::Status{code, __FILE__, __LINE__};                                \
  } while (false)

// Leaves the launcher with what another said, if it failed.
#define PASS(status)                                                                               \
  do {                                                                                             \
    if (const ::tinygrad_ai::cuda::Status s = (status); s.code)                                    \
      return s;                                                                                    \
  } while (false)

#ifndef ARCHS // what the kernels are compiled for: setup.py says it
#define ARCHS "unknown"
#endif

namespace tinygrad_ai::cuda {

constexpr index most = 0x7fffffff; // what a grid's x, and a kernel's int, can hold

inline index pieces(index count, index size) { return (count + size - 1) / size; }

inline bool too_large(index m, index n, index k) {
  // twice a tile of room: kernels step past the end before they look where it is
  return m > most - 256 || n > most - 256 || k > most - 256;
}

// What a choice between large and small tiles depends on.
struct Gpu {
  int processors, shared_bytes; // multiprocessors, and shared memory that a block may have
};

inline Status ask(Gpu *gpu) {
  int device = 0;
  TRY(cudaGetDevice(&device));
  TRY(cudaDeviceGetAttribute(&gpu->processors, cudaDevAttrMultiProcessorCount, device));
  TRY(cudaDeviceGetAttribute(&gpu->shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return {};
}

} // namespace tinygrad_ai::cuda
