// Runs the linear layer's kernels in small tiles, against sums in float64; for the sanitizers, and
// for bugs planted on purpose. Arguments: which kernels, or all. Exits 1 if one of them is wrong.
//
// Every array is a block of memory of exactly its size, so that a step past its end is seen.

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../../csrc/cuda/act_grad.cuh"
#include "../../csrc/cuda/linear.cuh"
#include "../../csrc/cuda/tensor_core.cuh"

namespace tinygrad_ai::cuda {

static std::mt19937 numbers(1);

template <class T> std::unique_ptr<T[]> random_array(index count) {
  std::normal_distribution<float> normal;
  std::unique_ptr<T[]> to(new T[count]);
  for (index i = 0; i < count; ++i)
    narrow(normal(numbers), to[i]);
  return to;
}

// Numbers nobody has written: NaN, so that one that stays so is seen.
template <class T> std::unique_ptr<T[]> empty_array(index count) {
  std::unique_ptr<T[]> to(new T[count]);
  for (index i = 0; i < count; ++i)
    narrow(Wide<T>(NAN), to[i]);
  return to;
}

static bool judge(const char *what, double worst, double limit, const std::string &error) {
  const bool right = worst <= limit && error.empty(); // NaN is not
  std::printf("%s %s: off by %.1e %s\n", right ? "ok  " : "FAIL", what, worst, error.c_str());
  return right;
}

static double further(double worst, double got, double wanted) {
  const double off = std::fabs(got - wanted);
  return off <= worst ? worst : off; // takes a NaN over
}

// c = relu(a b + bias) by `launch`, which is given the arguments.
template <class T, class Launch>
bool check_product(const char *what, Layout layout, index m, index n, index k, double limit,
                   Launch launch) {
  auto a = random_array<T>(m * k), b = random_array<T>(n * k), bias = random_array<T>(n);
  auto c = empty_array<T>(m * n), z = empty_array<T>(m * n);
  std::string error;
  try {
    launch(LinearProduct<T>{layout, a.get(), b.get(), bias.get(), c.get(), z.get(), m, n, k,
                            Act::relu});
  } catch (std::exception &e) {
    error = e.what();
  }
  double worst = 0;
  for (index i = 0; i < m; ++i)
    for (index j = 0; j < n; ++j) {
      double sum = widen(bias[j]);
      for (index s = 0; s < k; ++s)
        sum += double(widen(a[layout == Layout::tn ? s * m + i : i * k + s])) *
               double(widen(b[layout == Layout::nt ? j * k + s : s * n + j]));
      worst = further(worst, widen(z[i * n + j]), sum);
      worst = further(worst, widen(c[i * n + j]), sum > 0 ? sum : 0);
    }
  return judge(what, worst, limit, error);
}

static unsigned blocks_of(index m, index n, int tile_m, int tile_n) {
  return static_cast<unsigned>((m + tile_m - 1) / tile_m * ((n + tile_n - 1) / tile_n));
}

static bool check_tiled() {
  return check_product<float>("tiled", Layout::nt, 17, 18, 19, 1e-4, [](LinearProduct<float> p) {
    auto kernel = tiled_kernel<float, 8>;
    LAUNCH(kernel, dim3(blocks_of(p.m, p.n, 8, 8)), dim3(8, 8), 2 * 8 * 9 * sizeof(float), nullptr,
           p);
  });
}

template <Layout L> bool check_blocked(const char *what) {
  using B = Blocking<16, 32, 8, 4, 4>;
  return check_product<float>(what, L, 17, 34, 19, 1e-4, [](LinearProduct<float> p) {
    auto kernel = blocked_kernel<float, L, B>;
    LAUNCH(kernel, dim3(blocks_of(p.m, p.n, B::BM, B::BN)), dim3(B::threads),
           B::numbers * sizeof(float), nullptr, p);
  });
}

template <class Kind, Layout L, bool WIDE>
bool check_tensor(const char *what, index m, index n, index k, double limit) {
  using T = typename Kind::Number;
  using S = Shape<32, 32, 16, 16, 16, Kind::stages>;
  return check_product<T>(what, L, m, n, k, limit, [](LinearProduct<T> p) {
    auto kernel = tensor_core_kernel<Kind, L, S, WIDE>;
    LAUNCH(kernel, dim3(blocks_of(p.m, p.n, S::BM, S::BN)), dim3(S::threads),
           (Stages<Kind, L, S, WIDE>::bytes), nullptr, p);
  });
}

static bool check_act_grad() {
  const index rows = 21, columns = 35, length = 11, chunks = 2;
  auto g = random_array<float>(rows * columns), v = random_array<float>(rows * columns);
  auto gz = empty_array<float>(rows * columns), gb = empty_array<float>(columns);
  auto part = empty_array<float>(chunks * columns);
#ifdef PLANT_SUM_ACROSS_BLOCKS
  for (index i = 0; i < chunks * columns; ++i)
    part[i] = 0;
#endif
  std::string error;
  try {
    const ActGrad<float> p{g.get(), v.get(), gz.get(), gb.get(), nullptr, rows, columns, Act::tanh};
    float *sums = part.get();
    auto kernel = act_grad_kernel<float>;
    LAUNCH(kernel, dim3(2, chunks), dim3(strip_columns, strip_rows),
           strip_rows * strip_line * sizeof(float), nullptr, p, sums, static_cast<int>(length));
    auto sum = sum_parts_kernel<float>;
    LAUNCH(sum, dim3(2), dim3(32), 0, nullptr, sums, p.gb, static_cast<int>(chunks), columns);
  } catch (std::exception &e) {
    error = e.what();
  }
  double worst = 0;
  for (index j = 0; j < columns; ++j) {
    double total = 0;
    for (index i = 0; i < rows; ++i) {
      const index at = i * columns + j;
      const double wanted = g[at] * (1 - double(v[at]) * v[at]);
      worst = further(worst, gz[at], wanted), total += wanted;
    }
    worst = further(worst, gb[j], total);
  }
  return judge("act_grad", worst, 1e-4, error);
}

} // namespace tinygrad_ai::cuda

int main(int count, char **names) {
  using namespace tinygrad_ai::cuda;
  const std::string only = count > 1 ? names[1] : "all";
  const auto wanted = [&](const char *name) { return only == "all" || only == name; };
  bool right = true;
  if (wanted("tiled"))
    right &= check_tiled();
  if (wanted("blocked")) {
    right &= check_blocked<Layout::nt>("blocked nt");
    right &= check_blocked<Layout::tn>("blocked tn");
  }
  if (wanted("tensor_core")) {
    right &= check_tensor<Tf32, Layout::nt, true>("TF32 nt", 33, 34, 68, 2e-2);
    right &= check_tensor<Tf32, Layout::tn, false>("TF32 tn", 33, 34, 35, 2e-2);
    right &= check_tensor<Bf16, Layout::nn, true>("bfloat16 nn", 33, 40, 72, 2e-1);
    right &= check_tensor<F16, Layout::tn, true>("float16 tn", 40, 48, 33, 4e-2);
  }
  if (wanted("act_grad"))
    right &= check_act_grad();
  return right ? 0 : 1;
}
