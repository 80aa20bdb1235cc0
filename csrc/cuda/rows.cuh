// Kernels that look at whole rows: softmax and cross entropy. A row is read three times, after the
// first from the cache: the maximum, the sum of exponentials, the result.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

template <class T, class Team> ON_DEVICE T top_of(const T *x, index width) {
  T top = -infinity<T>();
  Team::over(width, [&](index i) { top = larger(x[i], top); });
  return Team::max(top);
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) softmax_rows(Rows<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const T top = top_of<T, Team>(x, width);
    const T sum = Team::template sum_over<T>(width, [&](index i) { return exp_down(x[i] - top); });
    Team::map(x, y, width, [&](index, T v) { return exp_down(v - top) / sum; });
  });
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) log_softmax_rows(Rows<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const T top = top_of<T, Team>(x, width);
    const T lse =
        log_of(Team::template sum_over<T>(width, [&](index i) { return exp_down(x[i] - top); }));
    // top first: the sum of both may round lse away
    Team::map(x, y, width, [&](index, T v) { return v - top - lse; });
  });
}

// gx = y (g - Σ g y)
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) softmax_grad_rows(RowsGrad<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *y = s.y + row * s.width;
    T *gx = s.gx + row * s.width;
    const T both = Team::template sum_over<T>(width, [&](index i) { return g[i] * y[i]; });
    Team::map(g, gx, width, [&](index i, T v) { return y[i] * (v - both); });
  });
}

// gx = g - eʸ Σ g
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) log_softmax_grad_rows(RowsGrad<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *y = s.y + row * s.width;
    T *gx = s.gx + row * s.width;
    const T all = Team::template sum_over<T>(width, [&](index i) { return g[i]; });
    Team::map(g, gx, width, [&](index i, T v) { return v - exp_down(y[i]) * all; });
  });
}

template <class T> ON_DEVICE bool is_class(index label, index classes) {
#ifdef PLANT_LABEL_BOUND
  return label >= 0 && label <= classes;
#endif
  return label >= 0 && label < classes;
}

template <class T> ON_DEVICE T weight_of(const Labels<T> &labels, index row, index classes) {
  const index label = labels.target[row];
  if (label == labels.ignore)
    return 0;
  if (!is_class<T>(label, classes))
    return not_a_number<T>();
  return labels.weight ? labels.weight[label] : T(1);
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) cross_entropy_rows(CrossEntropy<T> s) {
  Team::by_row(s.rows, s.classes, [&](index row, index width) {
    const T *x = s.x + row * s.classes;
    const T top = top_of<T, Team>(x, width);
    const T sum = Team::template sum_over<T>(width, [&](index i) { return exp_down(x[i] - top); });
    if (Team::lane() > 0 || row >= s.rows)
      return;
    const index label = s.labels.target[row];
    const bool counts = label != s.labels.ignore;
    const T at_label = is_class<T>(label, s.classes) ? x[label] : T(0);
    // top first: a large one would round log Σ away
    const T loss = (log_of(sum) - (at_label - top)) * weight_of(s.labels, row, s.classes);
    s.loss[row] = counts ? loss : T(0);
  });
}

// One block: the sum of all losses or weights is the same in every run. In double precision.
constexpr int sum_threads = 512;
constexpr std::size_t sum_shared = sum_threads / warp * sizeof(double);
template <class F> ON_DEVICE double block_sum(index count, const F &f) {
  DYNAMIC_SHARED(double, shared);
  double sum = 0;
  for (index i = threadIdx.x; i < count; i += sum_threads)
    sum += f(i);
  return block_reduce<sum_threads>(sum, shared, [](double a, double b) { return a + b; });
}

template <class T>
__global__ void __launch_bounds__(sum_threads) cross_entropy_total(CrossEntropy<T> s) {
  const double loss = block_sum(s.rows, [&](index r) { return double(s.loss[r]); });
  const double weight =
      s.mean ? block_sum(s.rows, [&](index r) { return double(weight_of(s.labels, r, s.classes)); })
             : 1;
  if (threadIdx.x == 0)
    *s.total = T(loss / weight);
}

template <class T>
__global__ void __launch_bounds__(sum_threads)
    share_of_a_row(Labels<T> labels, index rows, index classes, double *share) {
  const double sum =
      block_sum(rows, [&](index r) { return double(weight_of(labels, r, classes)); });
  if (threadIdx.x == 0)
    *share = 1 / sum;
}

// y = (softmax(x) - onehot) g w, over Σ w for the mean.
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads)
    cross_entropy_grad_rows(CrossEntropyGrad<T> s, const double *mean_share) {
  const T share = s.mean ? T(*mean_share) : T(1);
  Team::by_row(s.rows, s.classes, [&](index row, index width) {
    const T *x = s.x + row * s.classes;
    T *y = s.y + row * s.classes;
    const T top = top_of<T, Team>(x, width);
    const T sum = Team::template sum_over<T>(width, [&](index i) { return exp_down(x[i] - top); });
    if (row >= s.rows)
      return;
    const index label = s.labels.target[row];
    if (label == s.labels.ignore)
      return Team::over(width, [&](index i) { y[i] = 0; }); // also where the rest is NaN
    const T scale = s.g[row * s.g_step] * weight_of(s.labels, row, s.classes) * share;
    Team::map(x, y, width, [&](index i, T v) {
      return (exp_down(v - top) / sum - (i == label ? T(1) : T(0))) * scale;
    });
  });
}

// ---- launchers

template <class T> int softmax(const Rows<T> &s, Stream stream) {
  LAUNCH_ROWS(softmax_rows, s.count, s.width, s);
}
template <class T> int log_softmax(const Rows<T> &s, Stream stream) {
  LAUNCH_ROWS(log_softmax_rows, s.count, s.width, s);
}
template <class T> int softmax_grad(const RowsGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(softmax_grad_rows, s.count, s.width, s);
}
template <class T> int log_softmax_grad(const RowsGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(log_softmax_grad_rows, s.count, s.width, s);
}

template <class T> int cross_entropy_losses(const CrossEntropy<T> &s, Stream stream) {
  LAUNCH_ROWS(cross_entropy_rows, s.rows, s.classes, s);
}
template <class T> int cross_entropy(const CrossEntropy<T> &s, Stream stream) {
  const int status = cross_entropy_losses(s, stream);
  if (status || !s.total)
    return status;
  auto kernel = cross_entropy_total<T>;
  LAUNCH(kernel, 1, sum_threads, sum_shared, stream_of(stream), s);
  return launched();
}

inline std::size_t cross_entropy_grad_space() { return sizeof(double); }

template <class T>
int cross_entropy_grad_from(const CrossEntropyGrad<T> &s, const double *share, Stream stream) {
  LAUNCH_ROWS(cross_entropy_grad_rows, s.rows, s.classes, s, share);
}
template <class T>
int cross_entropy_grad(const CrossEntropyGrad<T> &s, void *workspace, Stream stream) {
  double *share = static_cast<double *>(workspace);
  if (s.mean) {
    auto kernel = share_of_a_row<T>;
    LAUNCH(kernel, 1, sum_threads, sum_shared, stream_of(stream), s.labels, s.rows, s.classes,
           share);
    if (const int status = launched())
      return status;
  }
  return cross_entropy_grad_from(s, share, stream);
}

} // namespace tinygrad_ai::cuda
