// The Python module tinygrad_ai.backend._cuda: unwraps addresses and sizes, calls a launcher, and
// raises what it returns. It sees no kernel and knows no array: Python validates. Addresses and
// streams are integers. A call returns when its kernels are in the stream, not when they are done.

#include "bindings.h"

#ifndef MODULE // the simulator's has a name of its own
#define MODULE _cuda
#endif
#ifndef SOURCES
#define SOURCES ""
#endif

namespace tinygrad_ai::cuda {
namespace {

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
  py::register_local_exception<CudaError>(m, "CudaError", PyExc_RuntimeError);
  add_names(m);
  add_linear(m);
  add_rows(m);
  add_elements(m);
  add_random(m);
  add_optim(m);
  add_attention(m);
  add_cublaslt(m);
#ifdef LAUNCHERS_ONLY
  add_compiler(m);
#endif
  m.def("device_count", [] { return asked(device_count); });
  m.def("driver_version", [] { return asked(driver_version); });
  m.def("runtime_version", [] { return asked(runtime_version); });
  m.attr("archs") = archs();
  m.attr("sources") = SOURCES;
}
