// The Python module tinygrad_ai.backend._cuda: unwraps addresses and sizes, calls a launcher, and
// raises what it returns. It sees no kernel and knows no array: Python validates. Addresses and
// streams are integers. A call returns when its kernels are in the stream, not when they are done.

#include <climits>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <pybind11/pybind11.h>

#include "device.h"
#include "linear.h"

namespace py = pybind11;
using namespace py::literals;

#ifndef MODULE // the simulator's has a name of its own
#define MODULE _cuda
#endif
#ifndef SOURCES
#define SOURCES ""
#endif

namespace tinygrad_ai::cuda {
namespace {

using Address = std::uintptr_t;

enum class Dtype { float32, float64, float16, bfloat16 };
enum class Way { tiled, blocked, tensor_core, hopper };

struct CudaError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check(const Status &s) {
  if (s.code)
    throw CudaError(std::string(s.file) + ":" + std::to_string(s.line) + ": " + error_name(s.code) +
                    " (" + std::to_string(s.code) + "): " + error_string(s.code));
}

template <class T> T *at(Address address) { return reinterpret_cast<T *>(address); }

void *stream_of(Address stream) { return at<void>(stream); }

void check_sizes(std::initializer_list<index> sizes) {
  for (const index size : sizes)
    if (size < 0)
      throw py::value_error("expected no size below 0, got " + std::to_string(size));
}

[[noreturn]] void refuse(const char *what) { throw py::value_error(what); }

struct Product { // the arguments of `product`, before their type is known
  Way way;
  Layout layout;
  Address a, b, bias, c, z;
  index m, n, k;
  Act act;
  Address stream;

  template <class T> LinearProduct<T> as() const {
    return {layout, at<const T>(a), at<const T>(b), at<const T>(bias), at<T>(c), at<T>(z), m, n, k,
            act};
  }
};

template <class T> Status plain_product(const Product &p) {
  if (p.way == Way::blocked)
    return blocked(p.as<T>(), stream_of(p.stream));
  if (p.way == Way::tiled && p.layout == Layout::nt)
    return tiled(p.as<T>(), stream_of(p.stream));
  refuse("expected a way that this dtype has: float32 tiled (nt), blocked, tensor_core; float64 "
         "tiled (nt), blocked; float16 tensor_core; bfloat16 tensor_core, hopper (nt)");
}

Status product(const Product &p, Dtype dtype) {
  if (p.way == Way::tensor_core && dtype == Dtype::float32)
    return tensor_core(p.as<float>(), stream_of(p.stream));
  if (p.way == Way::tensor_core && dtype == Dtype::float16)
    return tensor_core(p.as<f16>(), stream_of(p.stream));
  if (p.way == Way::tensor_core && dtype == Dtype::bfloat16)
    return tensor_core(p.as<bf16>(), stream_of(p.stream));
#ifndef SIMULATED // the simulator has no such instructions
  if (p.way == Way::hopper && dtype == Dtype::bfloat16 && p.layout == Layout::nt)
    return hopper(p.as<bf16>(), stream_of(p.stream));
#endif
  if (dtype == Dtype::float32)
    return plain_product<float>(p);
  if (dtype == Dtype::float64)
    return plain_product<double>(p);
  refuse("expected a way that this dtype has: float16 tensor_core; bfloat16 tensor_core, hopper "
         "(nt)");
}

struct Grad { // the arguments of `act_grad`
  Address g, v, gz, gb, space;
  index rows, columns;
  Act act;
  Address stream;
};

template <class T> Status act_grad_as(const Grad &p) {
  const ActGrad<T> args{at<const T>(p.g),  at<const T>(p.v), at<T>(p.gz), at<T>(p.gb),
                        at<void>(p.space), p.rows,           p.columns,   p.act};
  return act_grad(args, stream_of(p.stream));
}

Status act_grad_of(const Grad &p, Dtype dtype) {
  switch (dtype) {
  case Dtype::float32: return act_grad_as<float>(p);
  case Dtype::float64: return act_grad_as<double>(p);
  case Dtype::float16: return act_grad_as<f16>(p);
  case Dtype::bfloat16: return act_grad_as<bf16>(p);
  }
  refuse("expected a dtype of this module");
}

index space_of(Dtype dtype, index rows, index columns) {
  check_sizes({rows, columns});
  return dtype == Dtype::float64 ? act_grad_space<double>(rows, columns)
                                 : act_grad_space<float>(rows, columns);
}

void add_names(py::module_ &m) {
  py::enum_<Act>(m, "Act", py::module_local())
      .value("none", Act::none)
      .value("relu", Act::relu)
      .value("leaky_relu", Act::leaky_relu)
      .value("sigmoid", Act::sigmoid)
      .value("tanh", Act::tanh)
      .value("gelu", Act::gelu)
      .value("gelu_tanh", Act::gelu_tanh)
      .value("silu", Act::silu);
  py::enum_<Dtype>(m, "Dtype", py::module_local())
      .value("float32", Dtype::float32)
      .value("float64", Dtype::float64)
      .value("float16", Dtype::float16)
      .value("bfloat16", Dtype::bfloat16);
  py::enum_<Layout>(m, "Layout", py::module_local())
      .value("nt", Layout::nt)
      .value("nn", Layout::nn)
      .value("tn", Layout::tn);
  py::enum_<Way>(m, "Way", py::module_local())
      .value("tiled", Way::tiled)
      .value("blocked", Way::blocked)
      .value("tensor_core", Way::tensor_core)
      .value("hopper", Way::hopper);
}

void add_kernels(py::module_ &m) {
  m.def(
      "product",
      [](Way way, Layout layout, Dtype dtype, Address a, Address b, Address bias, Address c,
         Address z, index rows, index columns, index inner, Act act, Address stream) {
        check_sizes({rows, columns, inner});
        check(product({way, layout, a, b, bias, c, z, rows, columns, inner, act, stream}, dtype));
      },
      "c = f(a b + bias), (m, n); addresses are 0 where there is no bias, or z is not kept.",
      "way"_a, "layout"_a, "dtype"_a, "a"_a, "b"_a, "bias"_a, "c"_a, "z"_a, "m"_a, "n"_a, "k"_a,
      "act"_a, "stream"_a);
  m.def(
      "act_grad",
      [](Dtype dtype, Address g, Address v, Address gz, Address gb, Address space, index rows,
         index columns, Act act, Address stream) {
        check_sizes({rows, columns});
        check(act_grad_of({g, v, gz, gb, space, rows, columns, act, stream}, dtype));
      },
      "gz = g f'(v), and gb, the sums of gz's columns; gz or gb is 0 where it is not wanted.",
      "dtype"_a, "g"_a, "v"_a, "gz"_a, "gb"_a, "space"_a, "rows"_a, "columns"_a, "act"_a,
      "stream"_a);
  m.def("act_grad_space", &space_of, "Bytes of workspace that act_grad needs for gb.", "dtype"_a,
        "rows"_a, "columns"_a);
}

int asked(Status (*question)(int *)) {
  int answer = 0;
  check(question(&answer));
  return answer;
}

} // namespace
} // namespace tinygrad_ai::cuda

PYBIND11_MODULE(MODULE, m) {
  using namespace tinygrad_ai::cuda;
  py::register_exception<CudaError>(m, "CudaError", PyExc_RuntimeError);
  add_names(m);
  add_kernels(m);
  m.def("device_count", [] { return asked(device_count); });
  m.def("driver_version", [] { return asked(driver_version); });
  m.def("runtime_version", [] { return asked(runtime_version); });
  m.attr("archs") = archs();
  m.attr("sources") = SOURCES;
}
