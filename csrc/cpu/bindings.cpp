// The Python module: checks arrays, unwraps them, calls the kernels of this processor.
//
// A function answers None where the arrays are not for it (another dtype, too many dimensions): the
// caller then takes the plain way. Nothing is converted silently.

#include <algorithm>
#include <cmath>

#include <pybind11/stl.h>

#include "arrays.h"
#include "bindings_nn.h"
#include "bindings_optim.h"

using namespace py::literals;

namespace tinygrad_ai {
namespace {

// ---- products

template <class T> void run(const Product<T> &p) {
  const int threads = state().threads;
  const Kernels<T> &k = kernels<T>();
  void *space = workspace(k.product_space(p, threads));
  py::gil_scoped_release free;
  k.product(p, space, threads);
}

// Both steps of a matrix, such that a row or column of size 1 looks contiguous.
template <class T> void left(Product<T> &p, const py::array &a, bool transposed) {
  p.a = data<T>(a);
  p.a_row = step<T>(a, transposed ? 1 : 0);
  p.a_col = step<T>(a, transposed ? 0 : 1);
}
template <class T> void right(Product<T> &p, const py::array &b, bool transposed) {
  p.b = data<T>(b);
  p.b_row = step<T>(b, transposed ? 1 : 0);
  p.b_col = step<T>(b, transposed ? 0 : 1);
}

template <class T>
py::object linear_of(const py::array &x, const py::array &w, const py::object &b, Act act,
                     bool keep) {
  if (!is<T>(x, 2) || !is<T>(w, 2) || x.shape(1) != w.shape(1))
    return py::none();
  Product<T> p{};
  py::array bias;
  if (!b.is_none()) {
    if (!py::isinstance<py::array>(b))
      return py::none();
    bias = py::reinterpret_borrow<py::array>(b);
    if (!is<T>(bias, 1) || bias.shape(0) != w.shape(0) || step<T>(bias, 0) != 1)
      return py::none();
    p.bias = data<T>(bias);
  }
  p.m = x.shape(0), p.n = w.shape(0), p.k = x.shape(1);
  left(p, x, false);
  right(p, w, true);
  auto y = matrix<T>(p.m, p.n);
  p.c = y.mutable_data(), p.c_row = p.n, p.act = act;
  if (!keep) {
    run(p);
    return std::move(y);
  }
  auto z = matrix<T>(p.m, p.n);
  p.z = z.mutable_data();
  run(p);
  return py::make_tuple(y, z);
}

// f(x wᵀ + b), and with `keep` x wᵀ + b, too.
py::object linear(const py::array &x, const py::array &w, const py::object &b, Act act, bool keep) {
  py::object y = linear_of<float>(x, w, b, act, keep);
  return y.is_none() ? linear_of<double>(x, w, b, act, keep) : y;
}

template <class T> py::object matmul_of(const py::array &a, const py::array &b) {
  if (!is<T>(a, 2) || !is<T>(b, 2) || a.shape(1) != b.shape(0))
    return py::none();
  Product<T> p{};
  p.m = a.shape(0), p.n = b.shape(1), p.k = a.shape(1);
  left(p, a, false);
  right(p, b, false);
  auto y = matrix<T>(p.m, p.n);
  p.c = y.mutable_data(), p.c_row = p.n;
  run(p);
  return std::move(y);
}

py::object matmul(const py::array &a, const py::array &b) {
  py::object y = matmul_of<float>(a, b);
  return y.is_none() ? matmul_of<double>(a, b) : y;
}

// g, and v where the activation has a slope, on the left of a product.
template <class T>
bool with_slope(Product<T> &p, const py::array &g, const py::object &v, Act act, bool transposed) {
  if (!is<T>(g, 2))
    return false;
  left(p, g, transposed);
  if (act == Act::none)
    return true;
  const auto values = py::reinterpret_borrow<py::array>(v);
  if (!is<T>(values, 2) || values.shape(0) != g.shape(0) || values.shape(1) != g.shape(1) ||
      step<T>(values, 0) != step<T>(g, 0) || step<T>(values, 1) != step<T>(g, 1))
    return false;
  p.v = data<T>(values), p.slope = act;
  return true;
}

template <class T>
py::object grad_x_of(const py::array &g, const py::object &v, const py::array &w, Act act) {
  Product<T> p{};
  if (!with_slope(p, g, v, act, false) || !is<T>(w, 2) || w.shape(0) != g.shape(1))
    return py::none();
  p.m = g.shape(0), p.n = w.shape(1), p.k = g.shape(1);
  right(p, w, false);
  auto gx = matrix<T>(p.m, p.n);
  p.c = gx.mutable_data(), p.c_row = p.n;
  run(p);
  return std::move(gx);
}

py::object linear_grad_x(const py::array &g, const py::object &v, const py::array &w, Act act) {
  py::object y = grad_x_of<float>(g, v, w, act);
  return y.is_none() ? grad_x_of<double>(g, v, w, act) : y;
}

template <class T>
py::object grad_w_of(const py::array &g, const py::object &v, const py::array &x, Act act) {
  Product<T> p{};
  if (!with_slope(p, g, v, act, true) || !is<T>(x, 2) || x.shape(0) != g.shape(0))
    return py::none();
  p.m = g.shape(1), p.n = x.shape(1), p.k = g.shape(0);
  right(p, x, false);
  auto gw = matrix<T>(p.m, p.n);
  py::array_t<T> gb(p.m);
  p.c = gw.mutable_data(), p.c_row = p.n, p.row_sum = gb.mutable_data();
  run(p);
  return py::make_tuple(gw, gb);
}

py::object linear_grad_w(const py::array &g, const py::object &v, const py::array &x, Act act) {
  py::object y = grad_w_of<float>(g, v, x, act);
  return y.is_none() ? grad_w_of<double>(g, v, x, act) : y;
}

// ---- elements and rows

// Whether a is rows of adjacent numbers, all one step apart.
template <class T> bool is_rows(const py::array &a, index *row) {
  const int last = static_cast<int>(a.ndim()) - 1;
  if (last < 0 || !is<T>(a, last + 1) || step<T>(a, last) != 1)
    return false;
  index rows = 1;
  for (int d = last - 1; d >= 0; rows *= a.shape(d--)) {
    if (a.shape(d) == 1)
      continue;
    if (rows == 1)
      *row = step<T>(a, d);
    else if (step<T>(a, d) != *row * rows)
      return false;
  }
  return true;
}

template <class T> py::object activate_of(const py::array &x, Act act) {
  Elements<T> e{};
  const bool flat = is_flat_of<T>(x);
  if (!flat && !is_rows<T>(x, &e.x_row))
    return py::none();
  auto y = like<T>(x);
  e.x = data<T>(x), e.y = y.mutable_data(), e.count = x.size(), e.act = act;
  e.width = flat ? e.count : x.shape(x.ndim() - 1);
  py::gil_scoped_release free;
  kernels<T>().activate(e, state().threads);
  return std::move(y);
}

py::object activate(const py::array &x, Act act) {
  py::object y = activate_of<float>(x, act);
  return y.is_none() ? activate_of<double>(x, act) : y;
}

template <class T> py::object act_grad_of(const py::array &g, const py::array &v, Act act) {
  Elements<T> e{};
  const bool flat = is_flat_of<T>(g) && is_flat_of<T>(v);
  if (!same_shape(g, v) || (!flat && !(is_rows<T>(g, &e.g_row) && is_rows<T>(v, &e.x_row))))
    return py::none();
  auto y = like<T>(g);
  e.g = data<T>(g), e.x = data<T>(v), e.y = y.mutable_data(), e.count = g.size(), e.act = act;
  e.width = flat ? e.count : g.shape(g.ndim() - 1);
  py::gil_scoped_release free;
  kernels<T>().act_grad(e, state().threads);
  return std::move(y);
}

py::object act_grad(const py::array &g, const py::array &v, Act act) {
  py::object y = act_grad_of<float>(g, v, act);
  return y.is_none() ? act_grad_of<double>(g, v, act) : y;
}

template <class T> py::object softmax_of(const py::array &x, bool log) {
  if (!is_flat_of<T>(x) || x.ndim() < 1 || !x.size())
    return py::none();
  auto y = like<T>(x);
  const index width = x.shape(x.ndim() - 1);
  Rows<T> rows{data<T>(x), y.mutable_data(), x.size() / width, width};
  py::gil_scoped_release free;
  (log ? kernels<T>().log_softmax : kernels<T>().softmax)(rows, state().threads);
  return std::move(y);
}

py::object softmax(const py::array &x, bool log) {
  py::object y = softmax_of<float>(x, log);
  return y.is_none() ? softmax_of<double>(x, log) : y;
}

bool are_labels(const py::array &target, index rows) {
  return is_flat_of<std::int64_t>(target) && target.ndim() == 1 && target.shape(0) == rows;
}

// Labels of `rows` rows, each `ignore` or in [0, classes).
template <class T>
bool labels_of(const py::array &target, const py::object &weight, std::int64_t ignore, index rows,
               index classes, Labels<T> &labels) {
  if (!are_labels(target, rows) || !vector_or_none(weight, classes, &labels.weight))
    return false;
  labels.target = data<std::int64_t>(target), labels.ignore = ignore;
  return std::all_of(labels.target, labels.target + rows,
                     [=](auto t) { return (t >= 0 && t < classes) || t == ignore; });
}

template <class T>
py::object cross_entropy_of(const py::array &x, const py::array &target, const py::object &weight,
                            std::int64_t ignore, const std::string &reduction) {
  CrossEntropy<T> s{};
  if (!is_flat_of<T>(x) || x.ndim() != 2 || !x.shape(1) ||
      !labels_of(target, weight, ignore, x.shape(0), x.shape(1), s.labels))
    return py::none();
  s.x = data<T>(x), s.rows = x.shape(0), s.classes = x.shape(1);
  py::array_t<T> loss(s.rows), total(std::array<index, 0>{});
  const bool reduced = reduction != "none";
  s.loss = loss.mutable_data(), s.mean = reduction == "mean";
  s.total = reduced ? total.mutable_data() : nullptr;
  {
    py::gil_scoped_release free;
    kernels<T>().cross_entropy(s, state().threads);
  }
  return std::move(reduced ? total : loss);
}

py::object cross_entropy(const py::array &x, const py::array &target, const py::object &weight,
                         std::int64_t ignore, const std::string &reduction) {
  py::object y = cross_entropy_of<float>(x, target, weight, ignore, reduction);
  return y.is_none() ? cross_entropy_of<double>(x, target, weight, ignore, reduction) : y;
}

// The gradient of each row's loss, or one number for all of them.
template <class T> bool gradient_of(const py::array &g, index rows, CrossEntropyGrad<T> &s) {
  const bool one = g.ndim() == 0 || (g.ndim() == 1 && g.strides(0) == 0 && rows);
  s.g = data<T>(g), s.g_step = one ? 0 : 1;
  return py::isinstance<py::array_t<T>>(g) && (one || (is<T>(g, 1) && is_flat(g))) &&
         (g.ndim() == 0 || g.shape(0) == rows);
}

template <class T>
py::object cross_entropy_grad_of(const py::array &g, const py::array &x, const py::array &target,
                                 const py::object &weight, std::int64_t ignore,
                                 const std::string &reduction) {
  CrossEntropyGrad<T> s{};
  if (!is_flat_of<T>(x) || x.ndim() != 2 || !gradient_of(g, x.shape(0), s) ||
      !labels_of(target, weight, ignore, x.shape(0), x.shape(1), s.labels))
    return py::none();
  s.x = data<T>(x), s.rows = x.shape(0), s.classes = x.shape(1), s.mean = reduction == "mean";
  auto y = like<T>(x);
  s.y = y.mutable_data();
  {
    py::gil_scoped_release free;
    kernels<T>().cross_entropy_grad(s, state().threads);
  }
  return std::move(y);
}

py::object cross_entropy_grad(const py::array &g, const py::array &x, const py::array &target,
                              const py::object &weight, std::int64_t ignore,
                              const std::string &reduction) {
  py::object y = cross_entropy_grad_of<float>(g, x, target, weight, ignore, reduction);
  return y.is_none() ? cross_entropy_grad_of<double>(g, x, target, weight, ignore, reduction) : y;
}

// ---- ceilings, for benchmarks to time: what was done is counted, in float32

double multiply_add(index rounds) {
  py::gil_scoped_release free;
  return kernels<float>().multiply_add(rounds, state().threads);
}

double stream(const py::array &p, const py::array &m, const py::array &v, const py::array &g,
              index passes) {
  Stream<float> s{};
  s.passes = passes;
  if (!with_grad<float>(s, p, g) || !state_of(m, s.count, &s.m) || !state_of(v, s.count, &s.v))
    throw std::invalid_argument("expected four float32 arrays of one size");
  py::gil_scoped_release free;
  return kernels<float>().stream(s, state().threads);
}

} // namespace
} // namespace tinygrad_ai

#if PYBIND11_VERSION_HEX >= 0x020D0000
PYBIND11_MODULE(_native, m, py::mod_gil_not_used()) {
#else
PYBIND11_MODULE(_native, m) {
#endif
  using namespace tinygrad_ai;
  m.doc() = "The compiled CPU kernels of tinygrad_ai.";
  m.attr("sources") = SOURCES; // what it was built from, see backend/native.py
  m.attr("compiler") = __VERSION__;
  m.def("isa", [] { return std::string(state().table.load()->name); });
  m.def("available", &available);
  m.def("use", &use);
  m.def("get_num_threads", [] { return state().threads.load(); });
  m.def("set_num_threads", &set_num_threads);
  py::enum_<Act>(m, "Act", py::module_local())
      .value("none", Act::none)
      .value("relu", Act::relu)
      .value("leaky_relu", Act::leaky_relu)
      .value("sigmoid", Act::sigmoid)
      .value("tanh", Act::tanh)
      .value("gelu", Act::gelu)
      .value("gelu_tanh", Act::gelu_tanh)
      .value("silu", Act::silu);
  m.def("serve_numpy", &serve_numpy);
  m.def("empty_cache", [] { cache().clear(); });
  m.def("memory_stats", [] {
    const Cache::Stats s = cache().stats();
    return py::make_tuple(s.used, s.most_used, s.kept, s.limit, s.reused, s.fetched);
  });
  m.def("linear", &linear);
  m.def("matmul", &matmul);
  m.def("linear_grad_x", &linear_grad_x);
  m.def("linear_grad_w", &linear_grad_w);
  m.def("activate", &activate);
  m.def("act_grad", &act_grad);
  m.def("softmax", &softmax);
  m.def("cross_entropy", &cross_entropy);
  m.def("cross_entropy_grad", &cross_entropy_grad);
  m.def("adam", &adam, "p"_a, "g"_a, "m"_a, "v"_a, "v_max"_a, "t"_a, "lr"_a, "beta1"_a, "beta2"_a,
        "eps"_a, "weight_decay"_a, "decoupled"_a);
  m.def("products", &products);
  m.def("attention", &attention);
  m.def("attention_grad", &attention_grad);
  m.def("softmax_grad", &softmax_grad);
  m.def("layer_norm", &layer_norm);
  m.def("layer_norm_grad", &layer_norm_grad);
  m.def("embedding", &embedding);
  m.def("embedding_grad", &embedding_grad);
  m.def("dropout", &dropout);
  m.def("sgd", &sgd, "p"_a, "g"_a, "velocity"_a, "lr"_a, "momentum"_a, "dampening"_a,
        "weight_decay"_a, "nesterov"_a, "first"_a);
  m.def("rmsprop", &rmsprop, "p"_a, "g"_a, "square"_a, "mean"_a, "velocity"_a, "lr"_a, "alpha"_a,
        "eps"_a, "weight_decay"_a, "momentum"_a);
  m.def("multiply_add", &multiply_add);
  m.def("stream", &stream);
  pthread_atfork(nullptr, nullptr, alone_after_fork);
}
