// Attention's kernels against the formulas with a matrix of scores, in double precision.

#pragma once

#include "../../csrc/cuda/attention_parts.cuh"
#include "check.h"

using namespace tinygrad_ai;
using cuda::Wide;

struct Case {
  long batch, heads, rows, keys, inner, outer;
  bool causal = false, bias = false, drop = false, scores = false, aligned = false;
  double scale = 0.3;

  long count() const { return batch * heads; }
  std::string name() const {
    using check::of;
    return check::name("attention", of(count()), of(rows), of(keys), of(inner), of(outer),
                       causal ? "causal" : "", bias ? "bias" : "", drop ? "drop" : "",
                       aligned ? "aligned" : "");
  }
};
constexpr double grow = 1.25;

// Numbers of any kind, read and written as doubles.
template <class T> double read(T x) { return cuda::widen(x); }
template <class T> T made(double x) {
  T y;
  cuda::narrow(static_cast<Wide<T>>(x), y);
  return y;
}
template <class T> struct Numbers : check::Array<T> {
  explicit Numbers(long n, const Case &c, double fill = NAN)
      : check::Array<T>(n, made<T>(fill), c.aligned ? 0 : 1) {}
  Numbers &random(double size = 1) {
    std::normal_distribution<double> d(0, size);
    for (long i = 0; i < this->size(); ++i)
      (*this)[i] = made<T>(d(check::generator()));
    return *this;
  }
};
template <class T>
void same(const std::string &what, Numbers<T> &got, const std::vector<double> &want, double close) {
  check::Array<double> wide(got.size());
  for (long i = 0; i < got.size(); ++i)
    wide[i] = read(got[i]);
  check::same(what, wide, [&](long i) { return want[i]; }, close);
}

// (batch, rows, heads, width) in memory, seen as (batch, heads, rows, width)
template <class T> Stack<T> split(T *at, const Case &c, long rows, long width) {
  Stack<T> s{};
  s.at = at, s.row = c.heads * width, s.col = 1;
  s.lead[0] = rows * c.heads * width, s.lead[1] = width;
  return s;
}
inline long place(const Case &c, long rows, long width, long head, long r, long i) {
  return ((head / c.heads * rows + r) * c.heads + head % c.heads) * width + i;
}
// (batch, heads, rows, keys) without gaps
template <class T> Stack<T> square(T *at, const Case &c) {
  Stack<T> s{};
  s.at = at, s.row = c.keys, s.col = 1;
  s.lead[0] = c.heads * c.rows * c.keys, s.lead[1] = c.rows * c.keys;
  return s;
}

// The inputs, the kernels' results, and what these should be.
template <class T> struct Trial {
  const Case c;
  Numbers<T> q, k, v, bias, g, y, gq, gk, gv, gs;
  Numbers<Wide<T>> lse;
  check::Array<unsigned char> keep;
  std::vector<double> want_y, want_lse, want_q, want_k, want_v, want_s, p;

  explicit Trial(const Case &c)
      : c(c), q(c.count() * c.rows * c.inner, c), k(c.count() * c.keys * c.inner, c),
        v(c.count() * c.keys * c.outer, c), bias(c.rows * c.keys, c),
        g(c.count() * c.rows * c.outer, c), y(g.size(), c), gq(q.size(), c), gk(k.size(), c),
        gv(v.size(), c), gs(c.count() * c.rows * c.keys, c), lse(c.count() * c.rows, c),
        keep(gs.size()), want_y(y.size()), want_lse(lse.size()), want_q(q.size()), want_k(k.size()),
        want_v(v.size()), want_s(gs.size()), p(gs.size()) {
    q.random(), k.random(), v.random(), bias.random();
    g.random(1 / std::sqrt(1.0 + c.outer)); // products of g and v are about 1, as the numbers are
    for (long i = 0; i < keep.size(); ++i)
      keep[i] = check::generator()() % 4 != 0;
    for (long i = 0; i < c.keys && c.rows > 2 && c.bias; ++i)
      bias[2 * c.keys + i] = made<T>(-INFINITY); // a row with no finite score
  }
  Attention<T> forward() {
    Attention<T> f{};
    f.lead.ndim = 2, f.lead.count = c.count(), f.lead.size[0] = c.batch, f.lead.size[1] = c.heads;
    f.q = split<const T>(q, c, c.rows, c.inner), f.k = split<const T>(k, c, c.keys, c.inner);
    f.v = split<const T>(v, c, c.keys, c.outer), f.y = split<T>(y, c, c.rows, c.outer);
    if (c.bias) // one for all heads
      f.bias.at = bias, f.bias.row = c.keys, f.bias.col = 1;
    if (c.drop)
      f.keep = square<const unsigned char>(keep, c);
    f.lse = lse, f.rows = c.rows, f.keys = c.keys, f.inner = c.inner, f.outer = c.outer;
    f.scale = c.scale, f.grow = grow, f.causal = c.causal;
    return f;
  }
  AttentionGrad<T> backward() {
    AttentionGrad<T> b{};
    b.forward = forward(), b.g = split<const T>(g, c, c.rows, c.outer);
    b.gq = split<T>(gq, c, c.rows, c.inner), b.gk = split<T>(gk, c, c.keys, c.inner);
    b.gv = split<T>(gv, c, c.keys, c.outer);
    if (c.scores)
      b.gs = square<T>(gs, c);
    return b;
  }
  double kept(long i) { return !c.drop ? 1 : keep[i] ? grow : 0; }
  double dot(Numbers<T> &a, long h, long r, long rows, Numbers<T> &b, long j, long width) {
    double sum = 0;
    for (long d = 0; d < width; ++d)
      sum += read(a[place(c, rows, width, h, r, d)]) * read(b[place(c, c.keys, width, h, j, d)]);
    return sum;
  }
  void expect_row(long h, long r) {
    const long at = (h * c.rows + r) * c.keys;
    double top = -INFINITY, sum = 0, both = 0;
    for (long j = 0; j < c.keys; ++j) {
      const double x = c.scale * dot(q, h, r, c.rows, k, j, c.inner);
      p[at + j] = c.causal && j > r ? -INFINITY : x + (c.bias ? read(bias[r * c.keys + j]) : 0);
      top = std::fmax(top, p[at + j]);
    }
    top = std::isinf(top) ? 0 : top;
    for (long j = 0; j < c.keys; ++j)
      sum += p[at + j] = std::exp(p[at + j] - top);
    want_lse[h * c.rows + r] = sum == 0 ? 0 : std::log(sum) + top;
    for (long j = 0; j < c.keys; ++j) {
      p[at + j] /= sum == 0 ? 1 : sum;
      for (long d = 0; d < c.outer; ++d)
        want_y[place(c, c.rows, c.outer, h, r, d)] +=
            p[at + j] * kept(at + j) * read(v[place(c, c.keys, c.outer, h, j, d)]);
    }
    for (long d = 0; d < c.outer; ++d) {
      const long i = place(c, c.rows, c.outer, h, r, d);
      both += read(g[i]) * want_y[i];
    }
    for (long j = 0; j < c.keys; ++j)
      expect_grad(h, r, j, at + j, both);
  }
  void expect_grad(long h, long r, long j, long at, double both) {
    want_s[at] = p[at] * (dot(g, h, r, c.rows, v, j, c.outer) * kept(at) - both);
    for (long d = 0; d < c.outer; ++d)
      want_v[place(c, c.keys, c.outer, h, j, d)] +=
          p[at] * kept(at) * read(g[place(c, c.rows, c.outer, h, r, d)]);
    for (long d = 0; d < c.inner; ++d) {
      const long in_q = place(c, c.rows, c.inner, h, r, d);
      const long in_k = place(c, c.keys, c.inner, h, j, d);
      want_q[in_q] += want_s[at] * c.scale * read(k[in_k]);
      want_k[in_k] += want_s[at] * c.scale * read(q[in_q]);
    }
  }
  void run(double close) {
    const std::string what = c.name();
    check::status(what, cuda::attention(forward(), nullptr).code);
    const auto b = backward();
    Numbers<Wide<T>> space(cuda::attention_grad_space(b) / sizeof(Wide<T>), c);
    check::status(what, cuda::attention_grad(b, space.data(), nullptr).code);
    for (long h = 0; h < c.count(); ++h)
      for (long r = 0; r < c.rows; ++r)
        expect_row(h, r);
    same(what + " y", y, want_y, close), same(what + " lse", lse, want_lse, close);
    same(what + " gq", gq, want_q, close), same(what + " gk", gk, want_k, close);
    same(what + " gv", gv, want_v, close);
    if (c.scores)
      same(what + " gs", gs, want_s, close);
  }
};

template <class T> void too_wide() {
  Attention<T> wide{};
  wide.inner = cuda::most_inner + 1;
  check::status("too wide", cuda::attention(wide, nullptr).code, 1);
  AttentionGrad<T> grad{};
  grad.forward.outer = cuda::most_inner + 1;
  check::status("too wide", cuda::attention_grad(grad, nullptr, nullptr).code, 1);
}
