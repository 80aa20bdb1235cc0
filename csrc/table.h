// What the compiled kernels are: plain functions of pointers and sizes, one table of them for each
// instruction set. They allocate nothing, read no global, and may be called from several threads.

#pragma once

#include <cstddef>
#include <cstdint>

#include "acts.h"

namespace tinygrad_ai {

using index = std::ptrdiff_t;

// c = f(a b + bias), (m, n) from (m, k) and (k, n). Steps are in elements, between rows and columns.
// With `slope`, a is taken times f'(v), where v has a's steps. `row_sum` gets the sums of a's rows.
template <class T> struct Product {
  const T *a, *b;
  T *c;
  index m, n, k;
  index a_row, a_col, b_row, b_col, c_row;
  const T *v = nullptr;
  Act slope = Act::none;
  T *row_sum = nullptr;
  const T *bias = nullptr;
  Act act = Act::none;
  T *z = nullptr; // keeps a b + bias, with c's steps, where the slope of `act` needs it
};

template <class T> struct Rows { // `count` rows of `width` numbers, one after the other
  const T *x;
  T *y;
  index count, width;
};

template <class T> struct CrossEntropy {
  const T *x;
  const std::int64_t *target;
  const T *weight; // of each row, or nullptr
  T *loss, *lse;
  index rows, classes;
};

template <class T> struct CrossEntropyGrad {
  const T *g, *x, *lse;
  const std::int64_t *target;
  const T *weight;
  T *y;
  index rows, classes;
};

template <class T> struct Elements { // y = f(x), or y = g f'(x)
  const T *g, *x;
  T *y;
  index count;
  Act act;
};

template <class T> struct Adam {
  T *p;
  const T *g;
  T *m, *v, *v_max;
  index count;
  double lr, beta1, beta2, eps, weight_decay, correction1, correction2;
  bool decoupled;
};

template <class T> struct Sgd {
  T *p;
  const T *g;
  T *velocity;
  index count;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first;
};

template <class T> struct RmsProp {
  T *p;
  const T *g;
  T *square, *mean, *velocity;
  index count;
  double lr, alpha, eps, weight_decay, momentum;
};

template <class T> struct Stream { // p, m and v are read and written, g is read
  T *p, *m, *v;
  const T *g;
  index count, passes;
};

template <class T> struct Kernels {
  std::size_t (*product_space)(const Product<T> &, int threads); // bytes of workspace
  void (*product)(const Product<T> &, void *workspace, int threads);
  void (*activate)(const Elements<T> &, int threads);
  void (*act_grad)(const Elements<T> &, int threads);
  void (*cross_entropy)(const CrossEntropy<T> &, int threads);
  void (*cross_entropy_grad)(const CrossEntropyGrad<T> &, int threads);
  void (*softmax)(const Rows<T> &, int threads);
  void (*log_softmax)(const Rows<T> &, int threads);
  void (*adam)(const Adam<T> &, int threads);
  void (*sgd)(const Sgd<T> &, int threads);
  void (*rmsprop)(const RmsProp<T> &, int threads);
  double (*multiply_add)(index rounds, int threads); // operations done
  double (*stream)(const Stream<T> &, int threads); // bytes moved
};

struct Table {
  const char *name;
  Kernels<float> f32;
  Kernels<double> f64;
};

} // namespace tinygrad_ai
