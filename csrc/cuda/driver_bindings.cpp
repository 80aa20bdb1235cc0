// Where Python says how a kernel is compiled (driver.h).

#include "bindings.h"

#include "driver.h"

namespace tinygrad_ai::cuda {
namespace {

py::object *compile = nullptr; // never destroyed: Python may be gone before this module

std::string compiled(const std::string &symbol, const std::string &declaration, int capability) {
  const py::gil_scoped_acquire python;
  return py::cast<std::string>((*compile)(symbol, declaration, capability));
}

} // namespace

void add_compiler(py::module_ &m) {
  m.def(
      "set_compiler",
      [](py::object function) {
        delete std::exchange(compile, new py::object(std::move(function)));
        set_compiler(compiled);
      },
      "function(symbol, declaration, capability): the bytes of a cubin or of PTX with that kernel, "
      "asked for when it is first launched on a GPU.",
      "function"_a);
}

} // namespace tinygrad_ai::cuda
