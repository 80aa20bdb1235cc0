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

template <class T> struct Type { // a type as a value: 16-bit numbers have no definition here
  using type = T;
};

// f(Type<T>{}) for the T of a dtype.
template <class F> Status with_dtype(Dtype dtype, const F &f) {
  switch (dtype) {
  case Dtype::float32: return f(Type<float>{});
  case Dtype::float64: return f(Type<double>{});
  case Dtype::float16: return f(Type<f16>{});
  case Dtype::bfloat16: return f(Type<bf16>{});
  }
  refuse("expected a dtype of this module");
}

void add_linear(py::module_ &);    // bindings_linear.cpp
void add_rows(py::module_ &);      // bindings_rows.cpp
void add_elements(py::module_ &);  // bindings_elements.cpp
void add_random(py::module_ &);    // bindings_random.cpp
void add_optim(py::module_ &);     // bindings_optim.cpp
void add_compiler(py::module_ &);  // driver_bindings.cpp, where launchers alone were compiled
void add_cublaslt(py::module_ &);  // bindings_cublaslt.cpp
void add_attention(py::module_ &); // bindings_attention.cpp

} // namespace tinygrad_ai::cuda
