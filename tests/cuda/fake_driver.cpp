// A CUDA driver whose one GPU is the simulator. A kernel is found by its symbol in a table, runs
// where it is launched, and is written down for the test. It refuses what a driver refuses: a
// thread without a context, and more shared memory than was asked for.

#include "fake_driver.h"

#include <map>

namespace {

struct Function { // a CUfunction
  Kernel kernel;
  std::size_t shared = 48 * 1024;
};

std::string launches, fault;
bool knows_kernels = true, broken = false;
thread_local bool has_context = false;

} // namespace

extern "C" {

// ---- for the test: lines of symbol, grid, block, shared memory, stream; and the last fault
const char *fake_launches() { return launches.c_str(); }
const char *fake_fault() { return fault.c_str(); }
void fake_forget() { launches.clear(), fault.clear(); }
void fake_lose_kernels() { knows_kernels = false; }
void fake_break() { broken = true; } // the next launch

// ---- the driver
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGetCount(int *count) { return *count = 1, 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
  const std::map<int, int> known = {{16, 100}, {97, 227 * 1024}, {75, 9}, {76, 0}};
  return *value = known.at(attribute), 0;
}
int cuCtxGetDevice(int *device) { return *device = 0, has_context ? 0 : 201; }
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &launches, 0; }
int cuCtxSetCurrent(void *context) { return has_context = context == &launches, 0; }
int cuModuleLoadData(void **module, const void *image) {
  return *module = &fault, std::strcmp(static_cast<const char *>(image), "no image") ? 0 : 200;
}
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(void **function, void *, const char *symbol) {
  for (const Kernel &kernel : kernels())
    if (knows_kernels && !std::strcmp(kernel.symbol, symbol))
      return *function = new Function{kernel}, 0; // until the end of the program, as modules are
  return 500;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  static_cast<Function *>(function)->shared = static_cast<std::size_t>(value);
  return attribute == 8 ? 0 : 1;
}
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned i, unsigned j,
                   unsigned k, unsigned shared, void *stream, void **arguments, void **extra) {
  const Function &f = *static_cast<Function *>(function);
  if (!has_context || extra || shared > f.shared)
    return 1;
  if (std::exchange(broken, false))
    return 719;
  launches += f.kernel.symbol;
  for (const unsigned number : {x, y, z, i, j, k, shared})
    launches += " " + std::to_string(number);
  launches += " " + std::to_string(reinterpret_cast<std::uintptr_t>(stream)) + "\n";
  try {
    f.kernel.run(dim3(x, y, z), dim3(i, j, k), shared, arguments);
  } catch (const std::exception &error) {
    fault = error.what();
    return 719;
  }
  return 0;
}
int cuGetExportTable(const void **table, const void *) { // NVRTC looks for its own
  return *table = nullptr, 500;
}
int cuGetErrorName(int code, const char **name) {
  return *name = code == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_OF_THE_FAKE", 0;
}
int cuGetErrorString(int, const char **text) { return *text = "an error of the fake driver", 0; }
}
