// The kernels of attention.cuh on the CPU, against the formulas with a matrix of scores.

#include "../../csrc/cuda/attention_grad.cuh"
#include "check.h"

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

struct Case {
  long batch, heads, rows, keys, inner, outer;
  bool causal = false, bias = false, drop = false, scores = false;
};

// (batch, rows, heads, width) in memory, seen as (batch, heads, rows, width)
template <class T> static Stack<T> split(T *at, const Case &c, long rows, long width) {
  Stack<T> s{};
  s.at = at, s.row = c.heads * width, s.col = 1;
  s.lead[0] = rows * c.heads * width, s.lead[1] = width;
  return s;
}
static long place(const Case &c, long rows, long width, long head, long r, long i) {
  return ((head / c.heads * rows + r) * c.heads + head % c.heads) * width + i;
}
// (batch, heads, rows, keys) without gaps
template <class T> static Stack<T> square(T *at, const Case &c) {
  Stack<T> s{};
  s.at = at, s.row = c.keys, s.col = 1;
  s.lead[0] = c.heads * c.rows * c.keys, s.lead[1] = c.rows * c.keys;
  return s;
}

static void attend(const Case &c) {
  const std::string what =
      name("attention", of(c.batch * c.heads), of(c.rows), of(c.keys), of(c.inner), of(c.outer),
           c.causal ? "causal" : "", c.bias ? "bias" : "", c.drop ? "drop" : "");
  const long heads = c.batch * c.heads, R = c.rows, K = c.keys;
  const double scale = 0.3, grow = 1.25;
  Array<float> q(heads * R * c.inner), k(heads * K * c.inner), v(heads * K * c.outer);
  Array<float> y(heads * R * c.outer, NAN), lse(heads * R, NAN), g(heads * R * c.outer);
  Array<float> gq(q.size(), NAN), gk(k.size(), NAN), gv(v.size(), NAN), gs(heads * R * K, NAN);
  Array<float> bias(R * K);
  Array<unsigned char> keep(heads * R * K);
  normal(q), normal(k), normal(v), normal(g), normal(bias);
  for (long i = 0; i < keep.size(); ++i)
    keep[i] = check::generator()() % 4 != 0;
  for (long i = 0; i < K && R > 2 && c.bias; ++i)
    bias[2 * K + i] = -INFINITY; // a row with no finite score
  Attention<float> f{};
  f.lead.ndim = 2, f.lead.count = heads, f.lead.size[0] = c.batch, f.lead.size[1] = c.heads;
  f.q = split<const float>(q, c, R, c.inner), f.k = split<const float>(k, c, K, c.inner);
  f.v = split<const float>(v, c, K, c.outer), f.y = split<float>(y, c, R, c.outer);
  if (c.bias) // one for all heads
    f.bias.at = bias, f.bias.row = K, f.bias.col = 1;
  if (c.drop)
    f.keep = square<const unsigned char>(keep, c);
  f.lse = lse, f.rows = R, f.keys = K, f.inner = c.inner, f.outer = c.outer;
  f.scale = scale, f.grow = grow, f.causal = c.causal;
  status(what, cuda::attention(f, nullptr));

  std::vector<double> p(heads * R * K), want_y(y.size()), want_lse(lse.size());
  std::vector<double> want_q(q.size()), want_k(k.size()), want_v(v.size()), want_s(p.size());
  auto kept = [&](long i) { return !c.drop ? 1 : keep[i] ? grow : 0; };
  for (long h = 0; h < heads; ++h)
    for (long r = 0; r < R; ++r) {
      double *row = p.data() + (h * R + r) * K, top = -INFINITY, sum = 0, both = 0;
      for (long j = 0; j < K; ++j) {
        double x = 0;
        for (long d = 0; d < c.inner; ++d)
          x += double(q[place(c, R, c.inner, h, r, d)]) * k[place(c, K, c.inner, h, j, d)];
        row[j] = c.causal && j > r ? -INFINITY : x * scale + (c.bias ? bias[r * K + j] : 0);
        top = std::fmax(top, row[j]);
      }
      top = std::isinf(top) ? 0 : top;
      for (long j = 0; j < K; ++j)
        sum += row[j] = std::exp(row[j] - top);
      want_lse[h * R + r] = sum == 0 ? 0 : std::log(sum) + top;
      for (long j = 0; j < K; ++j) {
        row[j] /= sum == 0 ? 1 : sum;
        for (long d = 0; d < c.outer; ++d)
          want_y[place(c, R, c.outer, h, r, d)] +=
              row[j] * kept((h * R + r) * K + j) * v[place(c, K, c.outer, h, j, d)];
      }
      for (long d = 0; d < c.outer; ++d)
        both += g[place(c, R, c.outer, h, r, d)] * want_y[place(c, R, c.outer, h, r, d)];
      for (long j = 0; j < K; ++j) {
        const long at = (h * R + r) * K + j;
        double gp = 0;
        for (long d = 0; d < c.outer; ++d) {
          const double gi = g[place(c, R, c.outer, h, r, d)];
          gp += gi * v[place(c, K, c.outer, h, j, d)] * kept(at);
          want_v[place(c, K, c.outer, h, j, d)] += row[j] * kept(at) * gi;
        }
        want_s[at] = row[j] * (gp - both);
        for (long d = 0; d < c.inner; ++d) {
          want_q[place(c, R, c.inner, h, r, d)] +=
              want_s[at] * scale * k[place(c, K, c.inner, h, j, d)];
          want_k[place(c, K, c.inner, h, j, d)] +=
              want_s[at] * scale * q[place(c, R, c.inner, h, r, d)];
        }
      }
    }
  const double close = 1e-4;
  same(what + " y", y, [&](long i) { return want_y[i]; }, close);
  same(what + " lse", lse, [&](long i) { return want_lse[i]; }, close);

  AttentionGrad<float> b{};
  b.forward = f, b.g = split<const float>(g, c, R, c.outer);
  b.gq = split<float>(gq, c, R, c.inner), b.gk = split<float>(gk, c, K, c.inner);
  b.gv = split<float>(gv, c, K, c.outer);
  if (c.scores)
    b.gs = square<float>(gs, c);
  Array<float> space(cuda::attention_grad_space(b) / sizeof(float), NAN);
  status(what, cuda::attention_grad(b, space, nullptr));
  same(what + " gq", gq, [&](long i) { return want_q[i]; }, close);
  same(what + " gk", gk, [&](long i) { return want_k[i]; }, close);
  same(what + " gv", gv, [&](long i) { return want_v[i]; }, close);
  if (c.scores)
    same(what + " gs", gs, [&](long i) { return want_s[i]; }, close);
}

// Two heads whose queries lie more than 2^31 elements apart.
static void far_heads() {
  const long step = (1L << 31) + 3;
  check::Far<float> q(step + 2);
  Array<float> k(2, 1), v(2), y(2, NAN), lse(2, NAN);
  q[0] = 0, q[step] = 1, v[0] = 2, v[1] = 4;
  Attention<float> f{};
  f.lead.ndim = 1, f.lead.count = 2, f.lead.size[0] = 2;
  auto one = [](auto *at, long lead) {
    Stack<std::remove_pointer_t<decltype(at)>> s{};
    s.at = at, s.row = s.col = 1, s.lead[0] = lead;
    return s;
  };
  f.q = one(static_cast<const float *>(q), step);
  f.k = one(static_cast<const float *>(k.data()), 0); // one for both
  f.v = one(static_cast<const float *>(v.data()), 0), f.y = one(y.data(), 1);
  f.lse = lse, f.rows = 1, f.keys = 2, f.inner = 1, f.outer = 1, f.scale = 1;
  k[1] = 3;
  status("far heads", cuda::attention(f, nullptr));
  const double p = 1 / (1 + std::exp(2.0)); // of the first key, for q = 1
  same("far heads", y, [&](long i) { return i == 0 ? 3 : 2 * p + 4 * (1 - p); });
}

int main() {
  return check::run([] {
    attend({1, 1, 33, 65, 3, 5, true, true, true, true});
    if (check::few)
      return;
    far_heads();
    attend({1, 1, 0, 3, 2, 2}), attend({1, 2, 2, 0, 2, 2}), attend({0, 1, 3, 3, 2, 2});
    attend({1, 1, 1, 1, 1, 1}), attend({2, 3, 5, 7, 4, 3, false, true, false, true});
    attend({1, 2, 31, 33, 16, 16, true}), attend({1, 1, 32, 32, 64, 64, false, false, true});
    attend({1, 1, 70, 33, 65, 8, true, false, false, true});
    attend({1, 1, 33, 70, 128, 128, true, true, true, true});
    attend({1, 1, 9, 40, 7, 127, false, true});
    Attention<float> wide{};
    wide.inner = 129;
    status("too wide", cuda::attention(wide, nullptr), 1);
  });
}
