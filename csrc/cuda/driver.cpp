// See driver.h.

#include "driver.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "linear.h"

namespace tinygrad_ai::cuda {
namespace {

constexpr int not_initialized = 3, invalid_context = 201;

// The driver's functions, or why they are not there.
struct Driver {
  std::string missing;
  int (*cuInit)(unsigned);
  int (*cuDriverGetVersion)(int *);
  int (*cuDeviceGetCount)(int *);
  int (*cuDeviceGetAttribute)(int *, int attribute, int device);
  int (*cuCtxGetDevice)(int *);
  int (*cuCtxSetCurrent)(void *context);
  int (*cuDevicePrimaryCtxRetain)(void **context, int device);
  int (*cuModuleLoadData)(void **module, const void *image);
  int (*cuModuleUnload)(void *module);
  int (*cuModuleGetFunction)(void **function, void *module, const char *name);
  int (*cuFuncSetAttribute)(void *function, int attribute, int value);
  int (*cuLaunchKernel)(void *function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        unsigned shared, void *stream, void **arguments, void **extra);
  int (*cuGetErrorName)(int code, const char **);
  int (*cuGetErrorString)(int code, const char **);

  Driver() : library(dlopen("libcuda.so.1", RTLD_NOW)) {
    if (!library) {
      missing = dlerror();
      return;
    }
#define FIND(name) find(#name, name)
    FIND(cuInit), FIND(cuDriverGetVersion), FIND(cuDeviceGetCount), FIND(cuDeviceGetAttribute);
    FIND(cuCtxGetDevice), FIND(cuCtxSetCurrent), FIND(cuDevicePrimaryCtxRetain);
    FIND(cuModuleLoadData), FIND(cuModuleUnload), FIND(cuModuleGetFunction);
    FIND(cuFuncSetAttribute), FIND(cuLaunchKernel), FIND(cuGetErrorName), FIND(cuGetErrorString);
#undef FIND
    if (const int code = missing.empty() ? cuInit(0) : 0)
      missing = "cuInit failed with error " + std::to_string(code);
  }

private:
  void *library; // stays open: kernels may run to the end of the program

  template <class Function> void find(const char *name, Function *&function) {
    function = reinterpret_cast<Function *>(dlsym(library, name));
    if (!function)
      missing = std::string("libcuda.so.1 has no ") + name;
  }
};

const Driver &driver() {
  static const Driver found;
  return found;
}

thread_local int last_error = cudaSuccess;
Compiler compiler = nullptr;

// What was compiled so far, for each device: the one state of this module.
std::mutex functions_mutex;
std::map<std::pair<int, const void *>, void *> functions;

std::string symbol_of(const void *kernel) {
  Dl_info found{};
  if (!dladdr(kernel, &found) || found.dli_saddr != kernel)
    throw std::runtime_error("a kernel has no symbol: is it static, and no PLAIN_KERNEL?");
  return found.dli_sname;
}

std::string declaration_of(const std::string &symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void *)> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), std::free);
  return text ? text.get() : symbol;
}

int load(const void *kernel, int device, void **function) {
  const std::string symbol = symbol_of(kernel), declaration = declaration_of(symbol);
  if (!compiler)
    throw std::runtime_error("no compiler was set for " + declaration);
  int major = 0, minor = 0;
  if (const int code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device))
    return code;
  if (const int code = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device))
    return code;
  const std::string image = compiler(symbol, declaration, 10 * major + minor);
  void *module = nullptr;
  if (const int code = driver().cuModuleLoadData(&module, image.c_str()))
    throw std::runtime_error(std::string(cudaGetErrorName(code)) + " (" + std::to_string(code) +
                             ") on loading " + declaration);
  if (driver().cuModuleGetFunction(function, module, symbol.c_str())) {
    driver().cuModuleUnload(module);
    throw std::runtime_error("what was compiled has no " + symbol + ", which is " + declaration);
  }
  return cudaSuccess;
}

// Nothing is locked while the compiler works: it is Python's, and takes turns with other threads.
int function_of(const void *kernel, void **function) {
  int device = 0;
  if (const int code = cudaGetDevice(&device))
    return code;
  const std::pair<int, const void *> key(device, kernel);
  {
    const std::lock_guard<std::mutex> lock(functions_mutex);
    if (const auto found = functions.find(key); found != functions.end()) {
      *function = found->second;
      return cudaSuccess;
    }
  }
  if (const int code = load(kernel, device, function))
    return code;
  const std::lock_guard<std::mutex> lock(functions_mutex);
  *function = functions.emplace(key, *function).first->second; // another thread may be the first
  return cudaSuccess;
}

} // namespace

void set_compiler(Compiler use) { compiler = use; }

int set_attribute(const void *kernel, int attribute, int value) {
  void *function = nullptr;
  if (const int code = function_of(kernel, &function))
    return code;
  return driver().cuFuncSetAttribute(function, attribute, value);
}

void launch_kernel(const void *kernel, dim3 grid, dim3 block, std::size_t shared,
                   cudaStream_t stream, void **arguments) {
  void *function = nullptr;
  last_error = function_of(kernel, &function);
  if (!last_error)
    last_error =
        driver().cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                static_cast<unsigned>(shared), stream, arguments, nullptr);
}

// Its instructions need machine code for exactly its GPU: nvcc alone makes that here.
Status hopper(const LinearProduct<bf16> &, void *) {
  return {cudaErrorNotSupported, __FILE__, __LINE__};
}

} // namespace tinygrad_ai::cuda

using tinygrad_ai::cuda::driver;

#define NEED_DRIVER                                                                                \
  if (!driver().missing.empty())                                                                   \
  return cudaErrorInsufficientDriver

cudaError_t cudaGetLastError() {
  return std::exchange(tinygrad_ai::cuda::last_error, static_cast<int>(cudaSuccess));
}

// Who has not chosen a GPU has the first, as with the runtime.
cudaError_t cudaGetDevice(int *device) {
  NEED_DRIVER;
  const int code = driver().cuCtxGetDevice(device);
  if (code != tinygrad_ai::cuda::invalid_context && code != tinygrad_ai::cuda::not_initialized)
    return code;
  void *context = nullptr;
  if (const int failed = driver().cuDevicePrimaryCtxRetain(&context, *device = 0))
    return failed;
  return driver().cuCtxSetCurrent(context);
}
cudaError_t cudaGetDeviceCount(int *count) {
  NEED_DRIVER;
  return driver().cuDeviceGetCount(count);
}
cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device) {
  NEED_DRIVER;
  return driver().cuDeviceGetAttribute(value, attribute, device);
}
cudaError_t cudaDriverGetVersion(int *version) {
  *version = 0;
  return driver().missing.empty() ? driver().cuDriverGetVersion(version) : cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = 0;
  return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t code) {
  if (code == cudaErrorInsufficientDriver)
    return "cudaErrorInsufficientDriver";
  const char *name = nullptr;
  if (driver().missing.empty())
    driver().cuGetErrorName(code, &name);
  return name ? name : "unknown error";
}
const char *cudaGetErrorString(cudaError_t code) {
  if (code == cudaErrorInsufficientDriver)
    return driver().missing.c_str();
  const char *text = nullptr;
  if (driver().missing.empty())
    driver().cuGetErrorString(code, &text);
  return text ? text : "an error that the driver does not know";
}
