// The linear layer's kernels for Python: products and act_grad.

#include "bindings.h"

namespace tinygrad_ai::cuda {
namespace {

enum class Way { tiled, blocked, tensor_core, hopper };

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

void add_linear_names(py::module_ &m) {
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

} // namespace

void add_linear(py::module_ &m) {
  add_linear_names(m);
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

} // namespace tinygrad_ai::cuda
