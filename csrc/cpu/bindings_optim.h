// Bindings of the optimizers' steps.

#pragma once

#include <cmath>

#include <pybind11/stl.h>

#include "arrays.h"

namespace tinygrad_ai {
namespace {

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

template <class T, class S> bool with_grad(S &s, const py::object &p, const py::object &grad) {
  if (!py::isinstance<py::array>(p) || !py::isinstance<py::array>(grad))
    return false;
  const auto g = py::reinterpret_borrow<py::array>(grad);
  s.count = py::reinterpret_borrow<py::array>(p).size();
  if (!is_flat_of<T>(g) || g.size() != s.count)
    return false;
  s.g = data<T>(g);
  return state_of(p, s.count, &s.p);
}

template <class T>
bool adam_of(const py::list &p, const py::list &g, const py::list &m, const py::list &v,
             const py::list &v_max, const std::vector<index> &steps, const Adam<T> &numbers) {
  std::vector<Adam<T>> all(steps.size(), numbers);
  for (std::size_t i = 0; i < all.size(); ++i) {
    Adam<T> &s = all[i];
    if (!with_grad<T>(s, p[i], g[i]) || !state_of<T>(m[i], s.count, &s.m) ||
        !state_of<T>(v[i], s.count, &s.v) || !state_of<T>(v_max[i], s.count, &s.v_max, true))
      return false;
    s.correction1 = 1 - std::pow(s.beta1, steps[i]);
    s.correction2 = 1 - std::pow(s.beta2, steps[i]);
  }
  const int threads = state().threads;
  py::gil_scoped_release free;
  for (const Adam<T> &s : all)
    kernels<T>().adam(s, threads);
  return true;
}

bool adam(const py::list &p, const py::list &g, const py::list &m, const py::list &v,
          const py::list &v_max, const std::vector<index> &steps, double lr, double beta1,
          double beta2, double eps, double weight_decay, bool decoupled) {
  for (const py::list &l : {p, g, m, v, v_max})
    if (l.size() != steps.size())
      throw std::invalid_argument(std::string(__FILE__) + ":" + std::to_string(__LINE__) +
                                  ": expected lists of one length");
  const auto run = [&](auto s) {
    s.lr = lr, s.beta1 = beta1, s.beta2 = beta2, s.eps = eps;
    s.weight_decay = weight_decay, s.decoupled = decoupled;
    return adam_of(p, g, m, v, v_max, steps, s);
  };
  return run(Adam<float>{}) || run(Adam<double>{});
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
             const py::object &mean, const py::object &velocity, double lr, double alpha,
             double eps, double weight_decay, double momentum) {
  return rmsprop_of<float>(p, g, square, mean, velocity, lr, alpha, eps, weight_decay, momentum) ||
         rmsprop_of<double>(p, g, square, mean, velocity, lr, alpha, eps, weight_decay, momentum);
}

} // namespace
} // namespace tinygrad_ai
