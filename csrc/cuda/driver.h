// Launches through the CUDA driver, for a module that a C++ compiler built without nvcc: what the
// launchers use of the runtime, in terms of the driver's functions. The driver is looked for when
// it is first needed, so that the module can be imported without one.
//
// To such a compiler a kernel is a function that nobody calls. Its symbol is its name: NVRTC spells
// it the same way, so what is compiled when the kernel is first launched is found by it.

#pragma once

#include <cstddef>
#include <string>

using cudaError_t = int; // the driver's CUresult: where both know an error, the number is the same
using cudaStream_t = void *;

enum {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNotSupported = 801
};
enum {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

cudaError_t cudaGetLastError(); // of this thread's last launch, told once
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version); // 0: there is none
const char *cudaGetErrorName(cudaError_t);
const char *cudaGetErrorString(cudaError_t);

namespace tinygrad_ai::cuda {

// Machine code, or PTX, in which a kernel of this symbol is. The declaration is for people and for
// NVRTC; a GPU of compute capability 9.0 is 90. Throws what is wrong.
using Compiler = std::string (*)(const std::string &symbol, const std::string &declaration,
                                 int capability);
void set_compiler(Compiler);

cudaError_t set_attribute(const void *kernel, int attribute, int value);
void launch_kernel(const void *kernel, dim3 grid, dim3 block, std::size_t shared,
                   cudaStream_t stream, void **arguments);

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
            cudaStream_t stream, const Arguments &...arguments) {
  [&](Parameters... values) { // converted to what the kernel takes
    void *addresses[] = {const_cast<void *>(static_cast<const void *>(&values))...};
    launch_kernel(reinterpret_cast<const void *>(kernel), grid, block, shared, stream, addresses);
  }(arguments...);
}

} // namespace tinygrad_ai::cuda

template <class Kernel> cudaError_t cudaFuncSetAttribute(Kernel *kernel, int attribute, int value) {
  return tinygrad_ai::cuda::set_attribute(reinterpret_cast<const void *>(kernel), attribute, value);
}
