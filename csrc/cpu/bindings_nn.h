// Bindings of the kernels of layers: stacked products, attention, normalisation, rows, tables.

#pragma once

#include <algorithm>
#include <numeric>

#include "arrays.h"

namespace tinygrad_ai {
namespace {

// f for float, then for double: None if the arrays are for neither.
template <class F> py::object either(const F &f) {
  py::object y = f(float{});
  return y.is_none() ? f(double{}) : y;
}

bool same_shape(const py::array &a, const py::array &b) {
  return a.ndim() == b.ndim() && std::equal(a.shape(), a.shape() + a.ndim(), b.shape());
}

// ---- stacks of matrices

using Sizes = std::vector<index>;

// Leading dimensions of both, broadcast; false if they do not fit, or are too many.
bool lead_of(const py::array &a, const py::array &b, Lead &lead) {
  const int na = static_cast<int>(a.ndim()) - 2, nb = static_cast<int>(b.ndim()) - 2;
  lead.ndim = std::max(na, nb), lead.count = 1;
  if (na < 0 || nb < 0 || lead.ndim > most_lead)
    return false;
  for (int d = 0; d < lead.ndim; ++d) {
    const int da = d - lead.ndim + na, db = d - lead.ndim + nb;
    const index sa = da < 0 ? 1 : a.shape(da), sb = db < 0 ? 1 : b.shape(db);
    if (sa != sb && sa != 1 && sb != 1)
      return false;
    lead.size[d] = sa == 1 ? sb : sa;
    lead.count *= lead.size[d];
  }
  return true;
}

// a as matrices (m, n) for each index of the leading dimensions, broadcast to them. Steps along
// sizes of 1 count as 1, so that a row or a column looks contiguous.
template <class T, class S>
bool stack_of(const py::array &a, const Lead &lead, index m, index n, Stack<S> &to) {
  const int ndim = static_cast<int>(a.ndim()), all = lead.ndim + 2;
  if (!is<T>(a, ndim) || ndim > all)
    return false;
  index steps[most_lead + 2];
  for (int d = 0; d < all; ++d) {
    const int own = d - all + ndim;
    const index want = d < lead.ndim ? lead.size[d] : d == lead.ndim ? m : n;
    const index have = own < 0 ? 1 : a.shape(own);
    if (have != want && have != 1)
      return false;
    steps[d] = want == 1 ? 1 : have == 1 ? 0 : step<T>(a, own);
  }
  to.at = static_cast<S *>(const_cast<void *>(a.data()));
  std::copy(steps, steps + lead.ndim, to.lead);
  to.row = steps[lead.ndim], to.col = steps[lead.ndim + 1];
  return true;
}

Sizes shape_of(const Lead &lead, std::initializer_list<index> last) {
  Sizes shape(lead.size, lead.size + lead.ndim);
  shape.insert(shape.end(), last);
  return shape;
}

// A new array with its axes in memory as a's are, but the last one innermost: heads that came as a
// transposed view leave as one, and the transposition after them copies nothing.
template <class T> py::array_t<T> in_layout_of(const py::array &a, const Sizes &shape) {
  const int n = static_cast<int>(shape.size());
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  if (a.ndim() == n)
    std::stable_sort(order.begin(), order.end() - 1,
                     [&](int i, int j) { return a.strides(i) > a.strides(j); });
  Sizes strides(n);
  index bytes = sizeof(T);
  for (int i = n - 1; i >= 0; --i) {
    strides[order[i]] = bytes;
    bytes *= shape[order[i]];
  }
  return py::array_t<T>(shape, strides);
}

py::object products(const py::array &a, const py::array &b) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    Products<T> s{};
    if (!lead_of(a, b, s.lead) || !s.lead.count)
      return py::none();
    s.m = a.shape(a.ndim() - 2), s.k = a.shape(a.ndim() - 1), s.n = b.shape(b.ndim() - 1);
    if (b.shape(b.ndim() - 2) != s.k || !stack_of<T>(a, s.lead, s.m, s.k, s.a) ||
        !stack_of<T>(b, s.lead, s.k, s.n, s.b))
      return py::none();
    py::array_t<T> y(shape_of(s.lead, {s.m, s.n}));
    stack_of<T>(y, s.lead, s.m, s.n, s.c);
    const int threads = state().threads;
    void *space = workspace(kernels<T>().products_space(s, threads));
    py::gil_scoped_release free;
    kernels<T>().products(s, space, threads);
    return std::move(y);
  });
}

// ---- attention

// q, k, v and bias, if they are matrices of fitting sizes with the same leading dimensions.
template <class T>
bool attention_of(Attention<T> &s, const py::array &q, const py::array &k, const py::array &v,
                  const py::object &bias, double scale, bool causal, const py::object &keep,
                  double grow) {
  if (!lead_of(q, k, s.lead) || q.ndim() != k.ndim() || q.ndim() != v.ndim())
    return false;
  const auto last = q.ndim() - 1;
  s.rows = q.shape(last - 1), s.keys = k.shape(last - 1);
  s.inner = q.shape(last), s.outer = v.shape(last);
  s.scale = scale, s.causal = causal, s.grow = grow;
  if (k.shape(last) != s.inner || v.shape(last - 1) != s.keys ||
      !(s.lead.count * s.rows * s.keys * s.inner * s.outer))
    return false;
  for (auto d = 0; d < last - 1; ++d)
    if (q.shape(d) != k.shape(d) || q.shape(d) != v.shape(d))
      return false;
  if (!bias.is_none() &&
      (!py::isinstance<py::array>(bias) ||
       !stack_of<T>(py::reinterpret_borrow<py::array>(bias), s.lead, s.rows, s.keys, s.bias)))
    return false;
  if (!keep.is_none() &&
      (!py::isinstance<py::array>(keep) ||
       !stack_of<bool>(py::reinterpret_borrow<py::array>(keep), s.lead, s.rows, s.keys, s.keep) ||
       s.keep.col != 1))
    return false;
  return stack_of<T>(q, s.lead, s.rows, s.inner, s.q) &&
         stack_of<T>(k, s.lead, s.keys, s.inner, s.k) &&
         stack_of<T>(v, s.lead, s.keys, s.outer, s.v);
}

py::object attention(const py::array &q, const py::array &k, const py::array &v,
                     const py::object &bias, double scale, bool causal, const py::object &keep,
                     double grow) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    Attention<T> s{};
    if (!attention_of(s, q, k, v, bias, scale, causal, keep, grow))
      return py::none();
    auto y = in_layout_of<T>(q, shape_of(s.lead, {s.rows, s.outer}));
    py::array_t<T> lse(shape_of(s.lead, {s.rows}));
    stack_of<T>(y, s.lead, s.rows, s.outer, s.y);
    s.lse = lse.mutable_data();
    {
      const int threads = state().threads;
      void *space = workspace(kernels<T>().attention_space(s, threads));
      py::gil_scoped_release free;
      kernels<T>().attention(s, space, threads);
    }
    return py::make_tuple(y, lse);
  });
}

py::object attention_grad(const py::array &g, const py::array &q, const py::array &k,
                          const py::array &v, const py::object &bias, const py::array &y,
                          const py::array &lse, double scale, bool causal, const py::object &keep,
                          double grow, bool scores) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    AttentionGrad<T> s{};
    Attention<T> &f = s.forward;
    if (!attention_of(f, q, k, v, bias, scale, causal, keep, grow) || !same_shape(g, y) ||
        !stack_of<T>(g, f.lead, f.rows, f.outer, s.g) || s.g.col != 1 ||
        !stack_of<T>(y, f.lead, f.rows, f.outer, f.y) || f.y.col != 1 || !is_flat_of<T>(lse) ||
        lse.size() != f.lead.count * f.rows)
      return py::none();
    f.lse = const_cast<T *>(data<T>(lse));
    auto gq = in_layout_of<T>(q, shape_of(f.lead, {f.rows, f.inner}));
    auto gk = in_layout_of<T>(k, shape_of(f.lead, {f.keys, f.inner}));
    auto gv = in_layout_of<T>(v, shape_of(f.lead, {f.keys, f.outer}));
    py::array_t<T> gs(scores ? shape_of(f.lead, {f.rows, f.keys}) : Sizes{0});
    stack_of<T>(gq, f.lead, f.rows, f.inner, s.gq);
    stack_of<T>(gk, f.lead, f.keys, f.inner, s.gk);
    stack_of<T>(gv, f.lead, f.keys, f.outer, s.gv);
    if (scores) {
      stack_of<T>(gs, f.lead, f.rows, f.keys, s.gs);
      std::fill_n(gs.mutable_data(), gs.size(), T(0)); // blocks that nobody sees are not visited
    }
    {
      const int threads = state().threads;
      void *space = workspace(kernels<T>().attention_space(f, threads));
      py::gil_scoped_release free;
      kernels<T>().attention_grad(s, space, threads);
    }
    if (scores)
      return py::make_tuple(gq, gk, gv, gs);
    return py::make_tuple(gq, gk, gv);
  });
}

// ---- rows

py::object softmax_grad(const py::array &g, const py::array &y, bool log) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    if (!is_flat_of<T>(g) || !is_flat_of<T>(y) || !same_shape(g, y) || g.ndim() < 1 || !g.size())
      return py::none();
    auto gx = like<T>(g);
    const index width = g.shape(g.ndim() - 1);
    RowsGrad<T> rows{data<T>(g), data<T>(y), gx.mutable_data(), g.size() / width, width};
    py::gil_scoped_release free;
    (log ? kernels<T>().log_softmax_grad : kernels<T>().softmax_grad)(rows, state().threads);
    return std::move(gx);
  });
}

// The vector of n numbers that o is, or nullptr for None; false if it is something else.
template <class T> bool vector_or_none(const py::object &o, index n, const T **there) {
  if (o.is_none())
    return true;
  if (!py::isinstance<py::array>(o))
    return false;
  auto a = py::reinterpret_borrow<py::array>(o);
  if (!is_flat_of<T>(a) || a.ndim() != 1 || a.shape(0) != n)
    return false;
  *there = data<T>(a);
  return true;
}

py::object layer_norm(const py::array &x, const py::object &w, const py::object &b, double eps) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    LayerNorm<T> s{};
    if (!is_flat_of<T>(x) || x.ndim() < 1 || !x.size())
      return py::none();
    s.width = x.shape(x.ndim() - 1), s.count = x.size() / s.width, s.eps = eps;
    if (!vector_or_none(w, s.width, &s.w) || !vector_or_none(b, s.width, &s.b))
      return py::none();
    Sizes each(x.shape(), x.shape() + x.ndim());
    each.back() = 1;
    auto y = like<T>(x);
    py::array_t<T> mean(each), rstd(each);
    s.x = data<T>(x), s.y = y.mutable_data();
    s.mean = mean.mutable_data(), s.rstd = rstd.mutable_data();
    {
      py::gil_scoped_release free;
      kernels<T>().layer_norm(s, state().threads);
    }
    return py::make_tuple(y, mean, rstd);
  });
}

py::object layer_norm_grad(const py::array &g, const py::array &x, const py::object &w,
                           const py::array &mean, const py::array &rstd) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    LayerNormGrad<T> s{};
    if (!is_flat_of<T>(g) || !is_flat_of<T>(x) || !same_shape(g, x) || x.ndim() < 1 || !x.size())
      return py::none();
    s.width = x.shape(x.ndim() - 1), s.count = x.size() / s.width;
    if (!is_flat_of<T>(mean) || mean.size() != s.count || !is_flat_of<T>(rstd) ||
        rstd.size() != s.count || !vector_or_none(w, s.width, &s.w))
      return py::none();
    auto gx = like<T>(x);
    py::array_t<T> gw(s.width), gb(s.width);
    s.g = data<T>(g), s.x = data<T>(x), s.mean = data<T>(mean), s.rstd = data<T>(rstd);
    s.gx = gx.mutable_data(), s.gw = gw.mutable_data(), s.gb = gb.mutable_data();
    {
      const int threads = state().threads;
      void *space = workspace(kernels<T>().layer_norm_space(s, threads));
      py::gil_scoped_release free;
      kernels<T>().layer_norm_grad(s, space, threads);
    }
    return py::make_tuple(gx, gw, gb);
  });
}

// ---- tables and masks

// An error that names the first of n numbers that is not in [0, count).
void check_places(const char *what, const std::int64_t *at, index n, index count) {
  for (index i = 0; i < n; ++i)
    if (at[i] < 0 || at[i] >= count)
      throw std::out_of_range(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " + what +
                              " " + std::to_string(at[i]) + " is not in [0, " +
                              std::to_string(count) + ")");
}

py::object embedding(const py::array &w, const py::array &place) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    if (!is_flat_of<T>(w) || w.ndim() != 2 || !is_flat_of<std::int64_t>(place))
      return py::none();
    Sizes shape(place.shape(), place.shape() + place.ndim());
    shape.push_back(w.shape(1));
    py::array_t<T> y(shape);
    Embedding<T> s{data<T>(w), data<std::int64_t>(place), y.mutable_data(), place.size(),
                   w.shape(1)};
    check_places("index", s.place, s.count, w.shape(0));
    py::gil_scoped_release free;
    kernels<T>().embedding(s, state().threads);
    return std::move(y);
  });
}

template <class T>
bool embedding_grad_of(const py::array &g, const py::array &place, py::array &gw, index skip) {
  if (!is_flat_of<T>(g) || !is_flat_of<std::int64_t>(place) || !is_flat_of<T>(gw) ||
      gw.ndim() != 2 || g.size() != place.size() * gw.shape(1) || !gw.writeable())
    return false;
  EmbeddingGrad<T> s{data<T>(g),
                     data<std::int64_t>(place),
                     static_cast<T *>(gw.mutable_data()),
                     place.size(),
                     gw.shape(1),
                     skip};
  check_places("index", s.place, s.count, gw.shape(0));
  py::gil_scoped_release free;
  kernels<T>().embedding_grad(s, state().threads);
  return true;
}

// Adds to gw, which is zeros; true if done.
bool embedding_grad(const py::array &g, const py::array &place, py::array gw, index skip) {
  return embedding_grad_of<float>(g, place, gw, skip) ||
         embedding_grad_of<double>(g, place, gw, skip);
}

py::object dropout(const py::array &x, const py::array &keep, double scale) {
  return either([&](auto type) -> py::object {
    using T = decltype(type);
    if (!is_flat_of<T>(x) || !is_flat_of<bool>(keep) || !same_shape(x, keep))
      return py::none();
    auto y = like<T>(x);
    Dropout<T> s{data<T>(x), static_cast<const unsigned char *>(keep.data()), y.mutable_data(),
                 x.size(), scale};
    py::gil_scoped_release free;
    kernels<T>().dropout(s, state().threads);
    return std::move(y);
  });
}

} // namespace
} // namespace tinygrad_ai
