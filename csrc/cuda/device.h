// What the CUDA runtime says of itself and of the machine.

#pragma once

#include "linear.h"

namespace tinygrad_ai::cuda {

Status device_count(int *count);
Status driver_version(int *version);  // 0 without a driver
Status runtime_version(int *version); // of the runtime that is linked in
const char *error_name(int code);
const char *error_string(int code);
const char *archs(); // what the kernels were compiled for

} // namespace tinygrad_ai::cuda
