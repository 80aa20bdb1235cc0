// What the files of bindings share: addresses as integers, the names of dtypes, and errors.

#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <pybind11/pybind11.h>

#include "device.h"
#include "linear.h"

namespace py = pybind11;
using namespace py::literals;

namespace tinygrad_ai::cuda {

using Address = std::uintptr_t;

enum class Dtype { float32, float64, float16, bfloat16 };

struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(const Status &s) {
  if (s.code)
    throw CudaError(std::string(s.file) + ":" + std::to_string(s.line) + ": " + error_name(s.code) +
                    " (" + std::to_string(s.code) + "): " + error_string(s.code));
}

template <class T> T *at(Address address) { return reinterpret_cast<T *>(address); }

inline void *stream_of(Address stream) { return at<void>(stream); }

inline void check_sizes(std::initializer_list<index> sizes) {
  for (const index size : sizes)
    if (size < 0)
      throw py::value_error("expected no size below 0, got " + std::to_string(size));
}

[[noreturn]] inline void refuse(const char *what) { throw py::value_error(what); }

void add_linear(py::module_ &);    // bindings_linear.cpp
void add_attention(py::module_ &); // bindings_attention.cpp

} // namespace tinygrad_ai::cuda
