// The Python module: checks arrays, unwraps them, calls the kernels of this processor.
//
// A function answers None where the arrays are not for it (another dtype, too many dimensions): the
// caller then takes the plain way. Nothing is converted silently.

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <omp.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "../table.h"

namespace py = pybind11;

namespace tinygrad_ai {

#if defined(__x86_64__)
namespace avx512 {
extern const Table table;
}
namespace avx2 {
extern const Table table;
}
#endif
namespace portable {
extern const Table table;
}

namespace {

// ---- which kernels, how many threads

const Table *best() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &avx512::table;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &avx2::table;
#endif
  return &portable::table;
}

struct State { // of the module, in it: atomic, so that threads may ask and set
  std::atomic<const Table *> table{best()};
  std::atomic<int> threads{omp_get_max_threads()};
};

State &state() {
  static State s;
  return s;
}

py::list available() {
  py::list names;
#if defined(__x86_64__)
  if (best() == &avx512::table)
    names.append("avx512");
  if (best() != &portable::table)
    names.append("avx2");
#endif
  names.append("portable");
  return names;
}

void use(const std::string &name) {
  const Table *tables[] = {
#if defined(__x86_64__)
      &avx512::table, &avx2::table,
#endif
      &portable::table};
  for (auto known : available())
    for (const Table *t : tables)
      if (name == t->name && name == known.cast<std::string>()) {
        state().table = t;
        return;
      }
  throw std::invalid_argument(std::string(__FILE__) + ":" + std::to_string(__LINE__) +
                              ": this processor has no instruction set " + name);
}

void set_num_threads(int n) {
  if (n < 1)
    throw std::invalid_argument("expected at least one thread, got " + std::to_string(n));
  state().threads = n;
}

// A forked child has none of OpenMP's threads, and would wait for them forever.
void alone_after_fork() { state().threads = 1; }

template <class T> const Kernels<T> &kernels() {
  const Table *t = state().table;
  if constexpr (std::is_same_v<T, float>)
    return t->f32;
  else
    return t->f64;
}

// ---- memory that kernels work in: kept by each thread, as large as the largest need so far

struct Free {
  void operator()(void *p) const { std::free(p); }
};

void *workspace(std::size_t bytes) {
  thread_local std::unique_ptr<void, Free> held;
  thread_local std::size_t size = 0;
  if (size < bytes) {
    const std::size_t rounded = (bytes + 4095) / 4096 * 4096;
    held.reset(std::aligned_alloc(4096, rounded));
    size = held ? rounded : 0;
    if (!held)
      throw std::bad_alloc();
  }
  return held.get();
}

// ---- arrays

template <class T> bool is(const py::array &a, int ndim) {
  if (a.ndim() != ndim || !py::isinstance<py::array_t<T>>(a))
    return false;
  if (reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(T))
    return false;
  for (int i = 0; i < ndim; ++i)
    if (a.strides(i) % static_cast<index>(sizeof(T)))
      return false;
  return true;
}

template <class T> index step(const py::array &a, int axis) {
  return a.shape(axis) > 1 ? a.strides(axis) / static_cast<index>(sizeof(T)) : 1;
}

template <class T> const T *data(const py::array &a) { return static_cast<const T *>(a.data()); }

bool is_flat(const py::array &a) { return a.flags() & py::array::c_style; }

template <class T> bool is_flat_of(const py::array &a) {
  return py::isinstance<py::array_t<T>>(a) && is_flat(a) &&
         reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(T) == 0;
}

template <class T> py::array_t<T> matrix(index rows, index columns) {
  return py::array_t<T>(std::array<index, 2>{rows, columns});
}

template <class T> py::array_t<T> like(const py::array &a) {
  return py::array_t<T>(std::vector<index>(a.shape(), a.shape() + a.ndim()));
}

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

// ---- products

template <class T>
py::object linear_of(const py::array &x, const py::array &w, const py::object &b, Act act) {
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
  if (!slope_needs_input(act)) {
    run(p);
    return std::move(y);
  }
  auto z = matrix<T>(p.m, p.n);
  p.z = z.mutable_data();
  run(p);
  return py::make_tuple(y, z);
}

py::object linear(const py::array &x, const py::array &w, const py::object &b, Act act) {
  py::object y = linear_of<float>(x, w, b, act);
  return y.is_none() ? linear_of<double>(x, w, b, act) : y;
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

template <class T> py::object activate_of(const py::array &x, Act act) {
  if (!is_flat_of<T>(x))
    return py::none();
  auto y = like<T>(x);
  Elements<T> e{nullptr, data<T>(x), y.mutable_data(), x.size(), act};
  py::gil_scoped_release free;
  kernels<T>().activate(e, state().threads);
  return std::move(y);
}

py::object activate(const py::array &x, Act act) {
  py::object y = activate_of<float>(x, act);
  return y.is_none() ? activate_of<double>(x, act) : y;
}

bool same_shape(const py::array &a, const py::array &b) {
  return a.ndim() == b.ndim() && std::equal(a.shape(), a.shape() + a.ndim(), b.shape());
}

template <class T> py::object act_grad_of(const py::array &g, const py::array &v, Act act) {
  if (!is_flat_of<T>(g) || !is_flat_of<T>(v) || !same_shape(g, v))
    return py::none();
  auto y = like<T>(g);
  Elements<T> e{data<T>(g), data<T>(v), y.mutable_data(), g.size(), act};
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

// A vector of `rows` numbers, or none: then `there` stays false.
template <class T> bool vector_or_none(const py::object &o, index rows, const T **there) {
  if (o.is_none())
    return true;
  if (!py::isinstance<py::array>(o))
    return false;
  auto a = py::reinterpret_borrow<py::array>(o);
  if (!is_flat_of<T>(a) || a.ndim() != 1 || a.shape(0) != rows)
    return false;
  *there = data<T>(a);
  return true;
}

void check_labels(const std::int64_t *target, index rows, index classes) {
  for (index i = 0; i < rows; ++i)
    if (target[i] < 0 || target[i] >= classes)
      throw std::out_of_range(std::string(__FILE__) + ":" + std::to_string(__LINE__) +
                              ": label " + std::to_string(target[i]) + " is not in [0, " +
                              std::to_string(classes) + ")");
}

template <class T>
py::object cross_entropy_of(const py::array &x, const py::array &target, const py::object &weight) {
  CrossEntropy<T> s{};
  if (!is_flat_of<T>(x) || x.ndim() != 2 || !x.shape(1) || !are_labels(target, x.shape(0)) ||
      !vector_or_none(weight, x.shape(0), &s.weight))
    return py::none();
  s.x = data<T>(x), s.target = data<std::int64_t>(target);
  s.rows = x.shape(0), s.classes = x.shape(1);
  check_labels(s.target, s.rows, s.classes);
  py::array_t<T> loss(s.rows), lse(s.rows);
  s.loss = loss.mutable_data(), s.lse = lse.mutable_data();
  {
    py::gil_scoped_release free;
    kernels<T>().cross_entropy(s, state().threads);
  }
  return py::make_tuple(loss, lse);
}

py::object cross_entropy(const py::array &x, const py::array &target, const py::object &weight) {
  py::object y = cross_entropy_of<float>(x, target, weight);
  return y.is_none() ? cross_entropy_of<double>(x, target, weight) : y;
}

template <class T>
py::object cross_entropy_grad_of(const py::array &g, const py::array &x, const py::array &lse,
                                 const py::array &target, const py::object &weight) {
  CrossEntropyGrad<T> s{};
  if (!is_flat_of<T>(x) || x.ndim() != 2 || !are_labels(target, x.shape(0)) ||
      !vector_or_none(weight, x.shape(0), &s.weight) || !vector_or_none(g, x.shape(0), &s.g) ||
      !vector_or_none(lse, x.shape(0), &s.lse))
    return py::none();
  s.x = data<T>(x), s.target = data<std::int64_t>(target);
  s.rows = x.shape(0), s.classes = x.shape(1);
  check_labels(s.target, s.rows, s.classes);
  auto y = like<T>(x);
  s.y = y.mutable_data();
  {
    py::gil_scoped_release free;
    kernels<T>().cross_entropy_grad(s, state().threads);
  }
  return std::move(y);
}

py::object cross_entropy_grad(const py::array &g, const py::array &x, const py::array &lse,
                              const py::array &target, const py::object &weight) {
  py::object y = cross_entropy_grad_of<float>(g, x, lse, target, weight);
  return y.is_none() ? cross_entropy_grad_of<double>(g, x, lse, target, weight) : y;
}

// ---- optimizers: true if done

// A writable array of n numbers, or (optionally) none.
template <class T> bool state_of(const py::object &o, index n, T **to, bool optional = false) {
  if (optional && o.is_none())
    return true;
  if (!py::isinstance<py::array>(o))
    return false;
  auto a = py::reinterpret_borrow<py::array>(o);
  if (!is_flat_of<T>(a) || a.size() != n || !a.writeable())
    return false;
  *to = static_cast<T *>(a.mutable_data());
  return true;
}

template <class T, class S> bool with_grad(S &s, const py::array &p, const py::array &g) {
  s.count = p.size();
  if (!is_flat_of<T>(g) || g.size() != s.count)
    return false;
  s.g = data<T>(g);
  return state_of(p, s.count, &s.p);
}

template <class T>
bool adam_of(const py::array &p, const py::array &g, const py::object &m, const py::object &v,
             const py::object &v_max, index count, double lr, double beta1, double beta2, double eps,
             double weight_decay, bool decoupled) {
  Adam<T> s{};
  if (!with_grad<T>(s, p, g) || !state_of(m, s.count, &s.m) || !state_of(v, s.count, &s.v) ||
      !state_of(v_max, s.count, &s.v_max, true))
    return false;
  s.lr = lr, s.beta1 = beta1, s.beta2 = beta2, s.eps = eps, s.weight_decay = weight_decay;
  s.correction1 = 1 - std::pow(beta1, count), s.correction2 = 1 - std::pow(beta2, count);
  s.decoupled = decoupled;
  py::gil_scoped_release free;
  kernels<T>().adam(s, state().threads);
  return true;
}

bool adam(const py::array &p, const py::array &g, const py::object &m, const py::object &v,
          const py::object &v_max, index step, double lr, double beta1, double beta2, double eps,
          double weight_decay, bool decoupled) {
  return adam_of<float>(p, g, m, v, v_max, step, lr, beta1, beta2, eps, weight_decay, decoupled) ||
         adam_of<double>(p, g, m, v, v_max, step, lr, beta1, beta2, eps, weight_decay, decoupled);
}

template <class T>
bool sgd_of(const py::array &p, const py::array &g, const py::object &velocity, double lr,
            double momentum, double dampening, double weight_decay, bool nesterov, bool first) {
  Sgd<T> s{};
  if (!with_grad<T>(s, p, g) || !state_of(velocity, s.count, &s.velocity, true))
    return false;
  s.lr = lr, s.momentum = momentum, s.dampening = dampening, s.weight_decay = weight_decay;
  s.nesterov = nesterov, s.first = first;
  py::gil_scoped_release free;
  kernels<T>().sgd(s, state().threads);
  return true;
}

bool sgd(const py::array &p, const py::array &g, const py::object &velocity, double lr,
         double momentum, double dampening, double weight_decay, bool nesterov, bool first) {
  return sgd_of<float>(p, g, velocity, lr, momentum, dampening, weight_decay, nesterov, first) ||
         sgd_of<double>(p, g, velocity, lr, momentum, dampening, weight_decay, nesterov, first);
}

template <class T>
bool rmsprop_of(const py::array &p, const py::array &g, const py::object &square,
                const py::object &mean, const py::object &velocity, double lr, double alpha,
                double eps, double weight_decay, double momentum) {
  RmsProp<T> s{};
  if (!with_grad<T>(s, p, g) || !state_of(square, s.count, &s.square) ||
      !state_of(mean, s.count, &s.mean, true) || !state_of(velocity, s.count, &s.velocity, true))
    return false;
  s.lr = lr, s.alpha = alpha, s.eps = eps, s.weight_decay = weight_decay, s.momentum = momentum;
  py::gil_scoped_release free;
  kernels<T>().rmsprop(s, state().threads);
  return true;
}

bool rmsprop(const py::array &p, const py::array &g, const py::object &square,
             const py::object &mean, const py::object &velocity, double lr, double alpha, double eps,
             double weight_decay, double momentum) {
  return rmsprop_of<float>(p, g, square, mean, velocity, lr, alpha, eps, weight_decay, momentum) ||
         rmsprop_of<double>(p, g, square, mean, velocity, lr, alpha, eps, weight_decay, momentum);
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
  py::enum_<Act>(m, "Act")
      .value("none", Act::none)
      .value("relu", Act::relu)
      .value("leaky_relu", Act::leaky_relu)
      .value("sigmoid", Act::sigmoid)
      .value("tanh", Act::tanh)
      .value("gelu", Act::gelu)
      .value("gelu_tanh", Act::gelu_tanh)
      .value("silu", Act::silu);
  m.def("linear", &linear);
  m.def("matmul", &matmul);
  m.def("linear_grad_x", &linear_grad_x);
  m.def("linear_grad_w", &linear_grad_w);
  m.def("activate", &activate);
  m.def("act_grad", &act_grad);
  m.def("softmax", &softmax);
  m.def("cross_entropy", &cross_entropy);
  m.def("cross_entropy_grad", &cross_entropy_grad);
  m.def("adam", &adam);
  m.def("sgd", &sgd);
  m.def("rmsprop", &rmsprop);
  m.def("multiply_add", &multiply_add);
  m.def("stream", &stream);
  pthread_atfork(nullptr, nullptr, alone_after_fork);
}
