// The kernels of elementwise.cuh and philox.cuh on the CPU.

#include "../../csrc/cuda/philox.cu"
#include "check.h"

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

static double cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
static double inner(double x) { return std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

static double value(Act act, double x) {
  switch (act) {
  case Act::none: return x;
  case Act::relu: return x < 0 ? 0 : x;
  case Act::leaky_relu: return x > 0 ? x : 0.01 * x;
  case Act::sigmoid: return sigmoid(x);
  case Act::tanh: return std::tanh(x);
  case Act::gelu: return x * cdf(x);
  case Act::gelu_tanh: return 0.5 * x * (1 + std::tanh(inner(x)));
  case Act::silu: return x * sigmoid(x);
  }
  return NAN;
}

static void activations(long rows, long width, long gap) {
  const double h = 1e-5;
  for (int a = check::few ? 7 : 0; a < 8; ++a) {
    const Act act = static_cast<Act>(a);
    const std::string what = name("act", of(a), of(rows), of(width));
    const long step = width + gap, all = rows ? rows * step - gap : 0;
    Array<float> x(all), g(all), y(rows * width, NAN), v(all), gx(rows * width, NAN);
    normal(x, 2), normal(g);
    auto at = [&](long i) { return i / width * step + i % width; };
    status(what, cuda::activate(Elements<float>{nullptr, x, y, rows * width, act, width, 0, step},
                                nullptr));
    same(what, y, [&](long i) { return value(act, x[at(i)]); });
    for (long i = 0; i < rows * width; ++i) // what the slope is given
      v[at(i)] = act >= Act::gelu ? x[at(i)] : y[i];
    status(what, cuda::activate_grad(
                     Elements<float>{g, v, gx, rows * width, act, width, step, step}, nullptr));
    same(
        name(what, "slope"), gx,
        [&](long i) {
          const double z = x[at(i)];
          return g[at(i)] * (value(act, z + h) - value(act, z - h)) / (2 * h);
        },
        1e-4);
  }
}

// Rows that lie more than 2^31 elements apart.
static void far_rows() {
  const long width = 3, step = (1L << 31) + 5;
  check::Far<float> x(step + width);
  Array<float> y(2 * width, NAN);
  for (long i = 0; i < width; ++i)
    x[i] = 1 + i, x[step + i] = 10 + i;
  status("far rows",
         cuda::activate(Elements<float>{nullptr, x, y, 2 * width, Act::none, width, 0, step},
                        nullptr));
  same("far rows", y, [&](long i) { return i < width ? 1 + i : 10 + i - width; }, 0);
}

static void dropouts(long n) {
  Array<float> x(n), y(n, NAN);
  Array<unsigned char> keep(n);
  normal(x);
  for (long i = 0; i < n; ++i)
    keep[i] = i % 3 == 0;
  if (n > 2)
    x[1] = INFINITY, x[2] = NAN;
  status("dropout", cuda::dropout(Dropout<float>{x, keep, y, n, 1.25}, nullptr));
  same("dropout", y, [&](long i) { return x[i] * (keep[i] ? 1.25 : 0); });
}

// The vectors that come with the authors' library Random123: counter, key, result.
static void known_answers() {
  using cuda::Words;
  const struct {
    Words counter;
    unsigned key0, key1;
    Words want;
  } cases[] = {
      {{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       0xa4093822,
       0x299f31d0,
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (const auto &c : cases) {
    const Words got = cuda::philox(c.counter, c.key0, c.key1);
    for (int i = 0; i < 4; ++i)
      status("philox", got.w[i] == c.want.w[i], true);
  }
}

static void draws(long n, bool far) {
  const std::uint64_t seed = 1234567890123, offset = ~0u - 3ull; // its carry is drawn, too
  Array<std::uint64_t> base(2, 1ull << 40);
  const cuda::Random random{far ? seed - base[1] : seed, far ? offset - base[0] : offset,
                            far ? base.data() : nullptr};
  Array<float> y(n, NAN);
  Array<double> z(n, NAN);
  Array<unsigned char> below(n, 7), all(n, 7), none(n, 7);
  Array<std::uint32_t> words(n, 7);
  status("words", cuda::random_words(random, words, n, nullptr));
  status("uniform", cuda::uniform(random, y, n, nullptr));
  status("uniform", cuda::uniform(random, z, n, nullptr));
  status("below", cuda::below(random, below, n, 1288490189, nullptr));
  status("below", cuda::below(random, all, n, 1ull << 32, nullptr));
  status("below", cuda::below(random, none, n, 0, nullptr));
  auto word = [&](long i, int each) {
    return cuda::random_block(seed, offset, i / each).w[i % each * (4 / each)];
  };
  same("words", words, [&](long i) { return word(i, 4); }, 0);
  same("uniform", y, [&](long i) { return (word(i, 4) >> 8) / 16777216.0; }, 0);
  same(
      "uniform of doubles", z,
      [&](long i) {
        const auto low = cuda::random_block(seed, offset, i / 2).w[i % 2 * 2 + 1];
        return (word(i, 2) * 0x1p32 + low) * 0x1p-64;
      },
      0x1p-53);
  same("below", below, [&](long i) { return word(i, 4) < 1288490189u; }, 0);
  same("all below", all, [&](long) { return 1; }, 0);
  same("none below", none, [&](long) { return 0; }, 0);
}

static void moments() {
  const long n = 20000;
  Array<float> y(n);
  status("uniform", cuda::uniform({5, 0, nullptr}, y, n, nullptr));
  double mean = 0, square = 0, next = 0;
  for (long i = 0; i < n; ++i)
    mean += y[i] / n, square += y[i] * y[i] / n, next += y[i] * y[(i + 1) % n] / n;
  status("mean", std::fabs(mean - 0.5) < 0.01, true);
  status("variance", std::fabs(square - mean * mean - 1 / 12.0) < 0.005, true);
  status("neighbours", std::fabs(next - mean * mean) < 0.005, true);
}

int main() {
  return check::run([] {
    known_answers();
    if (check::few)
      return dropouts(257), draws(1543, true), activations(1, 7, 0);
    moments();
    for (long n : {0, 1, 3, 4, 5, 255, 257, 1543})
      dropouts(n), draws(n, n % 2);
    activations(0, 3, 0), activations(1, 1, 0), activations(1, 1031, 0), activations(7, 37, 5);
    far_rows();
  });
}
