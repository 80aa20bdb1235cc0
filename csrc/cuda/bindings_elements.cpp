// Elements for Python: activations, dropout, and rows of a table by their places.

#include "bindings.h"
#include "kernels.h"

namespace tinygrad_ai::cuda {
namespace {

void add_activations(py::module_ &m) {
  m.def(
      "activate",
      [](Dtype dtype, Address x, Address y, index count, Act act, Address stream) {
        check_sizes({count});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Elements<T> args{nullptr, at<const T>(x), at<T>(y), count,
                                 act,     count,          count,    count};
          return activate(args, stream_of(stream));
        }));
      },
      "y = f(x)", "dtype"_a, "x"_a, "y"_a, "count"_a, "act"_a, "stream"_a);
  m.def(
      "activate_grad",
      [](Dtype dtype, Address g, Address v, Address gx, index count, Act act, Address stream) {
        check_sizes({count});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Elements<T> args{at<const T>(g), at<const T>(v), at<T>(gx), count, act,
                                 count,          count,          count};
          return activate_grad(args, stream_of(stream));
        }));
      },
      "gx = g f'(v); v is the output where the slope follows from it, else the input.", "dtype"_a,
      "g"_a, "v"_a, "gx"_a, "count"_a, "act"_a, "stream"_a);
  m.def(
      "dropout",
      [](Dtype dtype, Address x, Address keep, Address y, index count, double scale,
         Address stream) {
        check_sizes({count});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Dropout<T> args{at<const T>(x), at<const unsigned char>(keep), at<T>(y), count,
                                scale};
          return dropout(args, stream_of(stream));
        }));
      },
      "y = scale x where keep is not 0, else 0 x.", "dtype"_a, "x"_a, "keep"_a, "y"_a, "count"_a,
      "scale"_a, "stream"_a);
}

void add_embedding(py::module_ &m) {
  m.def(
      "embedding",
      [](Dtype dtype, Address w, index rows, Address place, Address y, index count, index width,
         Address stream) {
        check_sizes({rows, count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const Embedding<T> args{at<const T>(w), at<const std::int64_t>(place), at<T>(y), count,
                                  width};
          return embedding(args, rows, stream_of(stream));
        }));
      },
      "y[i] = w[place[i]]", "dtype"_a, "w"_a, "rows"_a, "place"_a, "y"_a, "count"_a, "width"_a,
      "stream"_a);
  m.def(
      "embedding_order",
      [](Address place, index count, Address order, Address stream) {
        check_sizes({count});
        check(embedding_order(at<const std::int64_t>(place), count, at<std::int64_t>(order),
                              stream_of(stream)));
      },
      "The places in a stable order, in time that grows with their square.", "place"_a, "count"_a,
      "order"_a, "stream"_a);
  m.def(
      "embedding_grad",
      [](Dtype dtype, Address g, Address place, Address order, Address gw, index rows, index count,
         index width, std::int64_t skip, bool by_frequency, Address stream) {
        check_sizes({rows, count, width});
        check(with_dtype(dtype, [&](auto type) {
          using T = typename decltype(type)::type;
          const EmbeddingGrad<T> args{
              at<const T>(g), at<const std::int64_t>(place), at<T>(gw), count, width, skip};
          return embedding_grad(args, rows, at<const std::int64_t>(order), by_frequency,
                                stream_of(stream));
        }));
      },
      "gw, zeros before: for each row the sum of g where it was used, in the order given.",
      "dtype"_a, "g"_a, "place"_a, "order"_a, "gw"_a, "rows"_a, "count"_a, "width"_a, "skip"_a,
      "by_frequency"_a, "stream"_a);
}

} // namespace

void add_elements(py::module_ &m) {
  add_activations(m);
  add_embedding(m);
}

} // namespace tinygrad_ai::cuda
