// The machine, as the simulator's module sees it.

#include "../../csrc/cuda/device.h"

namespace tinygrad_ai::cuda {

Status device_count(int *count) {
  *count = 1;
  return {};
}
Status driver_version(int *version) {
  *version = 0;
  return {};
}
Status runtime_version(int *version) {
  *version = 0;
  return {};
}
const char *error_name(int) { return "simulated"; }
const char *error_string(int) { return "an error of the simulator's"; }
const char *archs() { return "simulator"; }

} // namespace tinygrad_ai::cuda
