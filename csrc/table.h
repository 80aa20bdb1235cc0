// What the compiled kernels are: plain functions of pointers and sizes, one table of them for each
// instruction set. They allocate nothing, read no global, and may be called from several threads.

#pragma once

#ifdef __CUDACC_RTC__ // it has no standard headers
namespace std {
using size_t = decltype(sizeof 0);
using ptrdiff_t = decltype(static_cast<char *>(nullptr) - static_cast<char *>(nullptr));
using int64_t = long;
using uint64_t = unsigned long;
using uint32_t = unsigned;
} // namespace std
#else
#include <cstddef>
#include <cstdint>
#endif

#include "acts.h"

namespace tinygrad_ai {

using index = std::ptrdiff_t;

// c = f(a b + bias), (m, n) from (m, k) and (k, n). Steps are in elements, between rows and
// columns. With `slope`, a is taken times f'(v), where v has a's steps. `row_sum` gets the sums of
// a's rows.
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
  bool add = false; // to what is in c; only `packed` knows it
  T *z = nullptr;   // keeps a b + bias, with c's steps, where the slope of `act` needs it
};

// Matrices stacked along leading dimensions, (..., m, n). Steps are in elements; 0: one for all.
constexpr int most_lead = 6;
struct Lead {
  int ndim;
  index count, size[most_lead];
};
template <class T> struct Stack {
  T *at;
  index row, col, lead[most_lead];
};

template <class T> struct Products { // c = a b for each index of the leading dimensions
  Lead lead;
  Stack<const T> a, b;
  Stack<T> c;
  index m, n, k;
};

template <class T> struct LogSum { // what sums' logarithms are kept in: of 16 bits is too little
  using type = T;
};

// y = softmax(scale q kᵀ + bias) v and lse = log Σ exp of each row of scores, or their gradients.
// q (..., rows, inner), k (..., keys, inner), v (..., keys, outer). Without a bias its `at` is
// null; `causal` hides the keys after the query's own place. With `keep`, bytes (..., rows, keys),
// the probabilities are times `grow` or 0.
template <class T> struct Attention {
  Lead lead;
  Stack<const T> q, k, v, bias;
  Stack<const unsigned char> keep;
  Stack<T> y;
  typename LogSum<T>::type *lse; // (..., rows)
  index rows, keys, inner, outer;
  double scale, grow;
  bool causal;
};
template <class T> struct AttentionGrad {
  Attention<T> forward; // its y and lse are read
  Stack<const T> g;
  Stack<T> gq, gk, gv, gs; // gs, the gradient of the scores, may be null
};

template <class T> struct Rows { // `count` rows of `width` numbers, one after the other
  const T *x;
  T *y;
  index count, width;
};

template <class T> struct Labels { // rows whose label is `ignore` do not count
  const std::int64_t *target;
  const T *weight; // of each class, or nullptr
  std::int64_t ignore;
};

template <class T> struct RowsGrad { // from the output y and its gradient g
  const T *g, *y;
  T *gx;
  index count, width;
};

template <class T> struct LayerNorm { // y = (x - mean) rstd w + b; w and b may be nullptr
  const T *x, *w, *b;
  T *y, *mean, *rstd;
  index count, width;
  double eps;
};

template <class T> struct LayerNormGrad {
  const T *g, *x, *w, *mean, *rstd;
  T *gx, *gw, *gb;
  index count, width;
};

template <class T> struct Embedding { // y[i] = w[place[i]]
  const T *w;
  const std::int64_t *place;
  T *y;
  index count, width;
};

template <class T> struct EmbeddingGrad { // gw[place[i]] += g[i], but where place[i] is `skip`
  const T *g;
  const std::int64_t *place;
  T *gw;
  index count, width;
  std::int64_t skip; // -1: none
};

template <class T> struct Dropout { // y = keep ? scale x : 0 x
  const T *x;
  const unsigned char *keep;
  T *y;
  index count;
  double scale;
};

template <class T> struct CrossEntropy {
  const T *x;
  Labels<T> labels;
  T *loss;
  T *total; // the sum of all losses, or their mean, or nullptr
  bool mean;
  index rows, classes;
};

template <class T> struct CrossEntropyGrad {
  const T *g, *x;
  index g_step; // 1, or 0 where g is one number for all rows
  Labels<T> labels;
  T *y;
  bool mean;
  index rows, classes;
};

template <class T> struct Elements { // y = f(x), or y = g f'(x)
  const T *g, *x;
  T *y;
  index count;
  Act act;
  index width, g_row, x_row; // rows of g and x may lie apart, y's do not
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
  void (*softmax_grad)(const RowsGrad<T> &, int threads);
  void (*log_softmax_grad)(const RowsGrad<T> &, int threads);
  void (*layer_norm)(const LayerNorm<T> &, int threads);
  std::size_t (*layer_norm_space)(const LayerNormGrad<T> &, int threads);
  void (*layer_norm_grad)(const LayerNormGrad<T> &, void *workspace, int threads);
  void (*embedding)(const Embedding<T> &, int threads);
  void (*embedding_grad)(const EmbeddingGrad<T> &, int threads);
  void (*dropout)(const Dropout<T> &, int threads);
  std::size_t (*products_space)(const Products<T> &, int threads);
  void (*products)(const Products<T> &, void *workspace, int threads);
  std::size_t (*attention_space)(const Attention<T> &, int threads);
  void (*attention)(const Attention<T> &, void *workspace, int threads);
  void (*attention_grad)(const AttentionGrad<T> &, void *workspace, int threads);
  double (*multiply_add)(index rounds, int threads); // operations done
  double (*stream)(const Stream<T> &, int threads);  // bytes moved
};

struct Table {
  const char *name;
  Kernels<float> f32;
  Kernels<double> f64;
};

} // namespace tinygrad_ai
