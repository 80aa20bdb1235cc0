// What the CUDA runtime says of itself and of the machine.

#include "device.h"
#include "launch.cuh"

namespace tinygrad_ai::cuda {

Status device_count(int *count) {
  *count = 0;
  TRY(cudaGetDeviceCount(count));
  return {};
}
Status driver_version(int *version) {
  TRY(cudaDriverGetVersion(version));
  return {};
}
Status runtime_version(int *version) {
  TRY(cudaRuntimeGetVersion(version));
  return {};
}
const char *error_name(int code) { return cudaGetErrorName(static_cast<cudaError_t>(code)); }
const char *error_string(int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }
const char *archs() { return ARCHS; }

} // namespace tinygrad_ai::cuda
