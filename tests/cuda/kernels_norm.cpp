// The kernels of norm.cuh on the CPU, at awkward sizes.

#include "../../csrc/cuda/norm.cuh"
#include "check.h"

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

static void norms(long rows, long width, bool affine) {
  const std::string size = name("layer_norm", of(rows), "x", of(width));
  const long n = rows * width;
  const double eps = 1e-5;
  Array<float> x(n), w(width), b(width), g(n), y(n, NAN), mean(rows, NAN), rstd(rows, NAN);
  Array<float> gx(n, NAN), gw(width, NAN), gb(width, NAN);
  normal(x, 2), normal(w), normal(b), normal(g);
  for (long i = 0; i < n; ++i)
    x[i] += 3;
  const float *ws = affine ? w.data() : nullptr, *bs = affine ? b.data() : nullptr;
  status(size,
         cuda::layer_norm(LayerNorm<float>{x, ws, bs, y, mean, rstd, rows, width, eps}, nullptr));
  std::vector<double> m(rows), r(rows), plain(rows), both(rows), want_w(width), want_b(width);
  auto u = [&](long i) { return affine ? double(g[i]) * w[i % width] : g[i]; };
  auto hat = [&](long i) { return (x[i] - m[i / width]) * r[i / width]; };
  for (long i = 0; i < n; ++i)
    m[i / width] += double(x[i]) / width;
  for (long i = 0; i < n; ++i)
    r[i / width] += (x[i] - m[i / width]) * (x[i] - m[i / width]) / width;
  for (auto &v : r)
    v = 1 / std::sqrt(v + eps);
  for (long i = 0; i < n; ++i) {
    plain[i / width] += u(i) / width, both[i / width] += u(i) * hat(i) / width;
    want_w[i % width] += g[i] * hat(i), want_b[i % width] += g[i];
  }
  same(
      size + " y", y,
      [&](long i) { return affine ? hat(i) * w[i % width] + b[i % width] : hat(i); }, 1e-4);
  if (width) {
    same(size + " mean", mean, [&](long i) { return m[i]; });
    same(size + " rstd", rstd, [&](long i) { return r[i]; }, 1e-4);
  }
  const LayerNormGrad<float> grad{g, x, ws, mean, rstd, gx, gw, gb, rows, width};
  Array<float> space(cuda::layer_norm_grad_space<float>(rows, width) / sizeof(float), NAN);
  status(size, cuda::layer_norm_grad(grad, space, nullptr));
  same(
      size + " gx", gx,
      [&](long i) { return (u(i) - plain[i / width] - hat(i) * both[i / width]) * r[i / width]; },
      width == 1 ? 1e-2 : 2e-4);
  same(size + " gw", gw, [&](long i) { return want_w[i]; }, width == 1 ? 1e-2 : 1e-4);
  same(size + " gb", gb, [&](long i) { return want_b[i]; }, 1e-4);
}

int main() {
  return check::run([] {
    norms(9, 33, true), norms(1, 1025, false);
    if (check::few)
      return;
    norms(0, 5, true), norms(2, 0, false), norms(257, 3, true);
    for (long width : {1, 2, 7, 31, 32, 33, 65, 257, 1023, 1031})
      norms(1, width, true), norms(3, width, false), norms(35, width, true);
  });
}
