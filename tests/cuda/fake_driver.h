// What a table of kernels for fake_driver.cpp needs; the tables are generated, one for each header.

#pragma once

#include <cstring>
#include <utility>

#include "../../csrc/cuda/compat.cuh"

struct Kernel {
  const char *symbol;
  void (*run)(dim3 grid, dim3 block, std::size_t shared, void **arguments);
};

inline std::vector<Kernel> &kernels() {
  static std::vector<Kernel> all;
  return all;
}

template <class... Parameters, std::size_t... I>
void run_with(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
              void **arguments, std::index_sequence<I...>) {
  (void)arguments;
  LAUNCH(kernel, grid, block, shared, nullptr, *static_cast<Parameters *>(arguments[I])...);
}
template <class... Parameters>
void run_typed(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared,
               void **arguments) {
  run_with(kernel, grid, block, shared, arguments, std::index_sequence_for<Parameters...>());
}
template <auto kernel>
void run(dim3 grid, dim3 block, std::size_t shared, void **arguments) {
  run_typed(kernel, grid, block, shared, arguments);
}

struct Enter {
  Enter(const char *symbol, decltype(Kernel::run) run) { kernels().push_back({symbol, run}); }
};
