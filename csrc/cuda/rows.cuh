// Kernels that look at whole rows: softmax and cross entropy. A row is read three times, after the
// first from the cache: the maximum, the sum of exponentials, the result.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

template <class T, class Team> ON_DEVICE Wide<T> top_of(const T *x, index width) {
  Wide<T> top = -infinity<Wide<T>>();
  Team::over(width, [&](index i) { top = larger(widen(x[i]), top); });
  return Team::max(top);
}

// Σ exp(x - top)
template <class T, class Team> ON_DEVICE Wide<T> exp_sum(const T *x, index width, Wide<T> top) {
  return Team::template sum_over<Wide<T>>(width,
                                          [&](index i) { return exp_down(widen(x[i]) - top); });
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) softmax_rows(Rows<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const Wide<T> top = top_of<T, Team>(x, width), sum = exp_sum<T, Team>(x, width, top);
    Team::map(x, y, width, [&](index, Wide<T> v) { return exp_down(v - top) / sum; });
  });
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) log_softmax_rows(Rows<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *x = s.x + row * s.width;
    T *y = s.y + row * s.width;
    const Wide<T> top = top_of<T, Team>(x, width), lse = log_of(exp_sum<T, Team>(x, width, top));
    // top first: the sum of both may round lse away
    Team::map(x, y, width, [&](index, Wide<T> v) { return v - top - lse; });
  });
}

// gx = y (g - Σ g y)
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) softmax_grad_rows(RowsGrad<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *y = s.y + row * s.width;
    T *gx = s.gx + row * s.width;
    const Wide<T> both =
        Team::template sum_over<Wide<T>>(width, [&](index i) { return widen(g[i]) * widen(y[i]); });
    Team::map(g, gx, width, [&](index i, Wide<T> v) { return widen(y[i]) * (v - both); });
  });
}

// gx = g - eʸ Σ g
template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) log_softmax_grad_rows(RowsGrad<T> s) {
  Team::by_row(s.count, s.width, [&](index row, index width) {
    const T *g = s.g + row * s.width, *y = s.y + row * s.width;
    T *gx = s.gx + row * s.width;
    const Wide<T> all =
        Team::template sum_over<Wide<T>>(width, [&](index i) { return widen(g[i]); });
    Team::map(g, gx, width, [&](index i, Wide<T> v) { return v - exp_down(widen(y[i])) * all; });
  });
}

ON_DEVICE bool is_class(index label, index classes) {
#ifdef PLANT_LABEL_BOUND
  return label >= 0 && label <= classes;
#endif
  return label >= 0 && label < classes;
}

template <class T>
ON_DEVICE Wide<T> weight_of(const Labels<T> &labels, index row, index classes) {
  const index label = labels.target[row];
  if (label == labels.ignore)
    return 0;
  if (!is_class(label, classes))
    return not_a_number<Wide<T>>();
  return labels.weight ? widen(labels.weight[label]) : Wide<T>(1);
}

template <class T, class Team>
__global__ void __launch_bounds__(Team::threads) cross_entropy_rows(CrossEntropy<T> s) {
  Team::by_row(s.rows, s.classes, [&](index row, index width) {
    const T *x = s.x + row * s.classes;
    const Wide<T> top = top_of<T, Team>(x, width), sum = exp_sum<T, Team>(x, width, top);
    if (Team::lane() > 0 || row >= s.rows)
      return;
    const index label = s.labels.target[row];
    const bool counts = label != s.labels.ignore;
    const Wide<T> at_label = is_class(label, s.classes) ? widen(x[label]) : Wide<T>(0);
    // top first: a large one would round log Σ away
    const Wide<T> loss = (log_of(sum) - (at_label - top)) * weight_of(s.labels, row, s.classes);
    narrow(counts ? loss : Wide<T>(0), s.loss[row]);
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
  const double loss = block_sum(s.rows, [&](index r) { return double(widen(s.loss[r])); });
  const double weight =
      s.mean ? block_sum(s.rows, [&](index r) { return double(weight_of(s.labels, r, s.classes)); })
             : 1;
  if (threadIdx.x == 0)
    narrow(Wide<T>(loss / weight), *s.total);
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
  const Wide<T> share = s.mean ? Wide<T>(*mean_share) : Wide<T>(1);
  Team::by_row(s.rows, s.classes, [&](index row, index width) {
    const T *x = s.x + row * s.classes;
    T *y = s.y + row * s.classes;
    const Wide<T> top = top_of<T, Team>(x, width), sum = exp_sum<T, Team>(x, width, top);
    if (row >= s.rows)
      return;
    const index label = s.labels.target[row];
    if (label == s.labels.ignore)
      return Team::over(width, [&](index i) { narrow(Wide<T>(0), y[i]); }); // also beside NaN
    const Wide<T> weight = weight_of(s.labels, row, s.classes);
    const Wide<T> scale = widen(s.g[row * s.g_step]) * weight * share;
    Team::map(x, y, width, [&](index i, Wide<T> v) {
      return (exp_down(v - top) / sum - (i == label ? Wide<T>(1) : Wide<T>(0))) * scale;
    });
  });
}

// ---- launchers

template <class T> Status softmax(const Rows<T> &s, Stream stream) {
  LAUNCH_ROWS(softmax_rows, s.count, s.width, s);
}
template <class T> Status log_softmax(const Rows<T> &s, Stream stream) {
  LAUNCH_ROWS(log_softmax_rows, s.count, s.width, s);
}
template <class T> Status softmax_grad(const RowsGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(softmax_grad_rows, s.count, s.width, s);
}
template <class T> Status log_softmax_grad(const RowsGrad<T> &s, Stream stream) {
  LAUNCH_ROWS(log_softmax_grad_rows, s.count, s.width, s);
}

template <class T> Status cross_entropy_losses(const CrossEntropy<T> &s, Stream stream) {
  LAUNCH_ROWS(cross_entropy_rows, s.rows, s.classes, s);
}
template <class T> Status cross_entropy(const CrossEntropy<T> &p, Stream stream) {
  PASS(cross_entropy_losses(p, stream));
  if (!p.total)
    return {};
  auto kernel = cross_entropy_total<T>;
  LAUNCH(kernel, 1, sum_threads, sum_shared, stream_of(stream), p);
  TRY(cudaGetLastError());
  return {};
}

template <class T>
Status cross_entropy_grad_from(const CrossEntropyGrad<T> &s, const double *share, Stream stream) {
  LAUNCH_ROWS(cross_entropy_grad_rows, s.rows, s.classes, s, share);
}
template <class T>
Status cross_entropy_grad(const CrossEntropyGrad<T> &p, void *workspace, Stream stream) {
  double *share = static_cast<double *>(workspace);
  if (p.mean) {
    auto kernel = share_of_a_row<T>;
    LAUNCH(kernel, 1, sum_threads, sum_shared, stream_of(stream), p.labels, p.rows, p.classes,
           share);
    TRY(cudaGetLastError());
  }
  return cross_entropy_grad_from(p, share, stream);
}

} // namespace tinygrad_ai::cuda
