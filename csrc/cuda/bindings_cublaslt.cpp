// cuBLASLt for Python: a library by its path, and plans of products.

#include "bindings.h"
#include "cublaslt.h"

namespace tinygrad_ai::cuda {
namespace {

void check_lt(const CublasLt &library, const Status &s) {
  if (s.code)
    throw CudaError(std::string(s.file) + ":" + std::to_string(s.line) + ": " +
                    library.api.GetStatusName(s.code) + " (" + std::to_string(s.code) +
                    "): " + library.api.GetStatusString(s.code));
}

lt::DataType type_of(Dtype dtype) {
  switch (dtype) {
  case Dtype::float32: return lt::R_32F;
  case Dtype::float64: return lt::R_64F;
  case Dtype::float16: return lt::R_16F;
  case Dtype::bfloat16: return lt::R_16BF;
  }
  refuse("expected a dtype of this module");
}

LtArrays arrays(Address a, Address b, Address bias, Address c, Address z, Address workspace) {
  return {at<void>(a), at<void>(b), at<void>(bias), at<void>(c), at<void>(z), at<void>(workspace)};
}

// The largest power of two that divides all addresses, 256 at most.
unsigned alignment_of(const LtArrays &p) {
  std::uintptr_t all = 256;
  for (const void *address :
       {p.a, p.b, p.bias, static_cast<const void *>(p.c), static_cast<const void *>(p.z)})
    all |= reinterpret_cast<std::uintptr_t>(address);
  return static_cast<unsigned>(all & ~(all - 1));
}

std::shared_ptr<CublasLt> open(const std::string &path) {
  auto library = std::make_shared<CublasLt>(path);
  check_lt(*library, library->start());
  return library;
}

std::unique_ptr<LtPlan> plan(const std::shared_ptr<CublasLt> &library, LtProduct p,
                             const LtArrays &first) {
  check_sizes({p.m, p.n, p.k});
  if (!p.m || !p.n || !p.k)
    refuse("expected a product of matrices that are not empty");
  p.alignment = alignment_of(first);
  std::unique_ptr<LtPlan> made;
  check_lt(*library, LtPlan::make(library, p, first, &made));
  return made;
}

void add_plan(py::module_ &m) {
  py::class_<LtPlan>(m, "LtPlan", py::module_local())
      .def(
          "run",
          [](LtPlan &self, Address a, Address b, Address bias, Address c, Address z,
             Address workspace, Address stream) {
            const LtArrays at = arrays(a, b, bias, c, z, workspace);
            check_lt(self.library(), self.run(at, stream_of(stream)));
          },
          "The product, with arrays of the plan's kind, aligned no worse than its first ones.",
          "a"_a, "b"_a, "bias"_a, "c"_a, "z"_a, "workspace"_a, "stream"_a);
}

} // namespace

void add_cublaslt(py::module_ &m) {
  add_plan(m);
  py::class_<CublasLt, std::shared_ptr<CublasLt>>(m, "CublasLt", py::module_local())
      .def(py::init(&open), "Opens a library, for the device that is current.", "path"_a)
      .def_property_readonly("version", &CublasLt::version)
      .def(
          "plan",
          [](const std::shared_ptr<CublasLt> &self, Layout layout, Dtype dtype, bool tf32,
             Address a, Address b, Address bias, Address c, Address z, index rows, index columns,
             index inner, Act act, std::size_t workspace) {
            const LtProduct p{layout,    type_of(dtype), tf32, rows, columns,  inner,
                              bias != 0, z != 0,         act,  0,    workspace};
            return plan(self, p, arrays(a, b, bias, c, z, 0));
          },
          "A plan for products like that of these arrays, with so many bytes of workspace; None if "
          "the library has no kernel for it.",
          "layout"_a, "dtype"_a, "tf32"_a, "a"_a, "b"_a, "bias"_a, "c"_a, "z"_a, "m"_a, "n"_a,
          "k"_a, "act"_a, "workspace"_a);
  m.def(
      "alignment",
      [](Address a, Address b, Address bias, Address c, Address z) {
        return alignment_of(arrays(a, b, bias, c, z, 0));
      },
      "The largest power of 2 that divides the addresses, 256 at most.", "a"_a, "b"_a, "bias"_a,
      "c"_a, "z"_a);
}

} // namespace tinygrad_ai::cuda
