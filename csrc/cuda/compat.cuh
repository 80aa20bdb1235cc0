// One source, three compilers: nvcc (the extension), NVRTC (CuPy's RawModule), and a C++ compiler
// with the simulator of tests/cuda/cusim.h, which runs kernels on the CPU.

#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define ON_DEVICE __device__ __forceinline__
#define NOINLINE __noinline__
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
  (kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#define DYNAMIC_SHARED(T, name)                                                                    \
  extern __shared__ __align__(128) unsigned char shared_bytes[];                                   \
  T *name = reinterpret_cast<T *>(shared_bytes)
#else
#include "cusim.h" // defines LAUNCH and DYNAMIC_SHARED for the simulator
#define ON_DEVICE inline
#define NOINLINE // a macro named __noinline__ would break libstdc++'s headers
#endif
