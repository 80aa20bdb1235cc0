// Arrays from Python, the kernels of this processor, and the memory they work in: what all bindings
// need.

#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "../table.h"
#include "memory.h"
#include "pool.h"

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
#if defined(__aarch64__)
namespace neon {
extern const Table table;
}
namespace base = neon;
#else
namespace portable {
extern const Table table;
}
namespace base = portable;
#endif

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
  return &base::table;
}

struct State { // of the module, in it: atomic, so that threads may ask and set
  std::atomic<const Table *> table{best()};
  std::atomic<int> threads{usual_threads()};
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
  if (best() != &base::table)
    names.append("avx2");
#endif
  names.append(base::table.name);
  return names;
}

void use(const std::string &name) {
  const Table *tables[] = {
#if defined(__x86_64__)
      &avx512::table, &avx2::table,
#endif
      &base::table};
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

// Forked children, workers of a data loader mostly, are many: each works alone.
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

} // namespace
} // namespace tinygrad_ai
