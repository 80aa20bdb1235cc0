// CUDA's words for a C++ compiler that builds launchers alone (driver.h). Kernels are compiled for
// their names only: whatever exists on a device alone stops the program, and the compiler drops
// what would follow it.

#pragma once

#include <cmath>
#include <cstdint>

#include "driver.h"

#define __global__ __attribute__((visibility("default"))) // so that dladdr finds its symbol
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

[[noreturn]] inline void only_on_a_device() { __builtin_trap(); }

struct uint3 {
  unsigned x, y, z;
};

#define threadIdx (only_on_a_device(), uint3{})
#define blockIdx (only_on_a_device(), uint3{})
#define blockDim (only_on_a_device(), uint3{})
#define gridDim (only_on_a_device(), uint3{})
#define __syncthreads() only_on_a_device()
#define __syncwarp(...) only_on_a_device()
#define __shfl_sync(mask, value, ...) (only_on_a_device(), (value))
#define __shfl_xor_sync(mask, value, ...) (only_on_a_device(), (value))
#define __shfl_down_sync(mask, value, ...) (only_on_a_device(), (value))
#define __uint_as_float(bits) (only_on_a_device(), static_cast<float>(bits))
#define DYNAMIC_SHARED(T, name) T *name = (only_on_a_device(), nullptr)
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
  ::tinygrad_ai::cuda::launch((kernel), (grid), (block), (shared), (stream), __VA_ARGS__)

namespace tinygrad_ai::cuda { // ptx.cuh

#define ONLY_ON_A_DEVICE(type, name)                                                               \
  template <class... Any> type name(const Any &...) { only_on_a_device(); }
#define ONLY_ON_A_DEVICE_OF(type, name)                                                            \
  template <int, class... Any> type name(const Any &...) { only_on_a_device(); }

ONLY_ON_A_DEVICE(unsigned short, bf16_of_float)
ONLY_ON_A_DEVICE(unsigned short, f16_of_float)
ONLY_ON_A_DEVICE(float, float_of_f16)
ONLY_ON_A_DEVICE(float, exp2_of)
ONLY_ON_A_DEVICE(unsigned, bf16_pair)
ONLY_ON_A_DEVICE(unsigned, f16_pair)
ONLY_ON_A_DEVICE(unsigned, tf32_of_float)
ONLY_ON_A_DEVICE(void, commit_copies)
ONLY_ON_A_DEVICE(void, mma_tf32)
ONLY_ON_A_DEVICE(void, mma_bf16)
ONLY_ON_A_DEVICE(void, mma_f16)
ONLY_ON_A_DEVICE_OF(void, copy_async)
ONLY_ON_A_DEVICE_OF(void, wait_copies)
ONLY_ON_A_DEVICE_OF(void, load_matrices)

#undef ONLY_ON_A_DEVICE_OF
#undef ONLY_ON_A_DEVICE

} // namespace tinygrad_ai::cuda
