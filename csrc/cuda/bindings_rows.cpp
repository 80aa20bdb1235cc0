// Rows for Python: softmax, cross entropy and layer norm, with their gradients.

#include "bindings.h"
#include "kernels.h"

namespace tinygrad_ai::cuda {
namespace {

void add_softmax(py::module_ &m) {
  m.def(
      "softmax",
      [](Dtype dtype, bool log, Address x, Address y, index count, index width, Address stream) {
        check_sizes({count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Rows<T> rows{at<const T>(x), at<T>(y), count, width};
          return log ? log_softmax(rows, stream_of(stream)) : softmax(rows, stream_of(stream));
        }));
      },
      "y = the softmax of each row of x, or its logarithm.", "dtype"_a, "log"_a, "x"_a, "y"_a,
      "count"_a, "width"_a, "stream"_a);
  m.def(
      "softmax_grad",
      [](Dtype dtype, bool log, Address g, Address y, Address gx, index count, index width,
         Address stream) {
        check_sizes({count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const RowsGrad<T> rows{at<const T>(g), at<const T>(y), at<T>(gx), count, width};
          return log ? log_softmax_grad(rows, stream_of(stream))
                     : softmax_grad(rows, stream_of(stream));
        }));
      },
      "gx, from the gradient g of what `softmax` gave.", "dtype"_a, "log"_a, "g"_a, "y"_a, "gx"_a,
      "count"_a, "width"_a, "stream"_a);
}

void add_cross_entropy(py::module_ &m) {
  m.def(
      "cross_entropy",
      [](Dtype dtype, Address x, Address target, Address weight, std::int64_t ignore, Address loss,
         Address total, bool mean, index rows, index classes, Address stream) {
        check_sizes({rows, classes});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Labels<T> labels{at<const std::int64_t>(target), at<const T>(weight), ignore};
          const CrossEntropy<T> args{at<const T>(x), labels, at<T>(loss), at<T>(total),
                                     mean,           rows,   classes};
          return cross_entropy(args, stream_of(stream));
        }));
      },
      "The loss of each row, and their sum or mean where total is not 0.", "dtype"_a, "x"_a,
      "target"_a, "weight"_a, "ignore"_a, "loss"_a, "total"_a, "mean"_a, "rows"_a, "classes"_a,
      "stream"_a);
  m.def(
      "cross_entropy_grad",
      [](Dtype dtype, Address g, index g_step, Address x, Address target, Address weight,
         std::int64_t ignore, Address y, bool mean, index rows, index classes, Address space,
         Address stream) {
        check_sizes({g_step, rows, classes});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Labels<T> labels{at<const std::int64_t>(target), at<const T>(weight), ignore};
          const CrossEntropyGrad<T> args{at<const T>(g), at<const T>(x), g_step, labels,
                                         at<T>(y),       mean,           rows,   classes};
          return cross_entropy_grad(args, at<void>(space), stream_of(stream));
        }));
      },
      "y, the gradient of x; g_step is 0 where g is one number for all rows.", "dtype"_a, "g"_a,
      "g_step"_a, "x"_a, "target"_a, "weight"_a, "ignore"_a, "y"_a, "mean"_a, "rows"_a, "classes"_a,
      "space"_a, "stream"_a);
  m.attr("cross_entropy_grad_space") = cross_entropy_grad_space;
}

index layer_norm_space(Dtype dtype, index count, index width) {
  check_sizes({count, width});
  return dtype == Dtype::float64 ? layer_norm_grad_space<double>(count, width)
                                 : layer_norm_grad_space<float>(count, width);
}

void add_layer_norm(py::module_ &m) {
  m.def(
      "layer_norm",
      [](Dtype dtype, Address x, Address w, Address b, Address y, Address mean, Address rstd,
         index count, index width, double eps, Address stream) {
        check_sizes({count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const LayerNorm<T> args{at<const T>(x), at<const T>(w), at<const T>(b),
                                  at<T>(y),       at<T>(mean),    at<T>(rstd),
                                  count,          width,          eps};
          return layer_norm(args, stream_of(stream));
        }));
      },
      "y = (x - mean) rstd w + b for each row; w and b are 0 where there are none.", "dtype"_a,
      "x"_a, "w"_a, "b"_a, "y"_a, "mean"_a, "rstd"_a, "count"_a, "width"_a, "eps"_a, "stream"_a);
  m.def(
      "layer_norm_grad",
      [](Dtype dtype, Address g, Address x, Address w, Address mean, Address rstd, Address gx,
         Address gw, Address gb, Address space, index count, index width, Address stream) {
        check_sizes({count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const LayerNormGrad<T> args{at<const T>(g),
                                      at<const T>(x),
                                      at<const T>(w),
                                      at<const T>(mean),
                                      at<const T>(rstd),
                                      at<T>(gx),
                                      at<T>(gw),
                                      at<T>(gb),
                                      count,
                                      width};
          return layer_norm_grad(args, at<void>(space), stream_of(stream));
        }));
      },
      "The gradients of x, w and b.", "dtype"_a, "g"_a, "x"_a, "w"_a, "mean"_a, "rstd"_a, "gx"_a,
      "gw"_a, "gb"_a, "space"_a, "count"_a, "width"_a, "stream"_a);
  m.def("layer_norm_grad_space", &layer_norm_space, "Bytes of workspace for layer_norm_grad.",
        "dtype"_a, "count"_a, "width"_a);
}

} // namespace

void add_rows(py::module_ &m) {
  add_softmax(m);
  add_cross_entropy(m);
  add_layer_norm(m);
}

} // namespace tinygrad_ai::cuda
