// One source, four ways to compile it: by nvcc (the extension); by NVRTC, kernels alone, when they
// are first used; by a C++ compiler, launchers alone, for kernels that NVRTC compiles; and by a C++
// compiler with the simulator of tests/cuda/cusim.h, which runs kernels on the CPU.
//
// PLAIN_KERNEL is `__global__` for a kernel in a header that is no template.

#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define ON_DEVICE __device__ __forceinline__
#define NOINLINE __noinline__
#define DYNAMIC_SHARED(T, name)                                                                    \
  extern __shared__ __align__(128) unsigned char shared_bytes[];                                   \
  T *name = reinterpret_cast<T *>(shared_bytes)
#else
#define ON_DEVICE inline
#define NOINLINE // a macro named __noinline__ would break libstdc++'s headers
#endif

#if defined(__CUDACC_RTC__) // which reads launchers, but makes nothing of them
#define cudaGetLastError() cudaSuccess
#define cudaGetDevice(...) cudaSuccess
#define cudaDeviceGetAttribute(...) cudaSuccess
#define cudaFuncSetAttribute(...) cudaSuccess
#define PLAIN_KERNEL __global__
#define LAUNCH(kernel, ...) (void)(kernel)
#define __builtin_huge_val() __longlong_as_double(0x7ff0000000000000) // the compilers' own
#define __builtin_nan(text) __longlong_as_double(0x7ff8000000000000)
#elif defined(__CUDACC__)
#define PLAIN_KERNEL static __global__
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
  (kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#elif defined(LAUNCHERS_ONLY)
#include "host.h" // defines LAUNCH and DYNAMIC_SHARED for the module without nvcc
#define PLAIN_KERNEL inline __global__
#else
#include "cusim.h" // defines LAUNCH and DYNAMIC_SHARED for the simulator
#define PLAIN_KERNEL static __global__
#endif
