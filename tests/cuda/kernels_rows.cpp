// The kernels of rows.cuh on the CPU, at awkward sizes.

#include "../../csrc/cuda/rows.cuh"
#include "check.h"

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

struct Row { // what a row should give, in double precision
  double top, sum;
  Row(const float *x, long n) : top(-INFINITY), sum(0) {
    for (long i = 0; i < n; ++i)
      top = x[i] > top ? x[i] : top;
    for (long i = 0; i < n; ++i)
      sum += std::exp(x[i] - top);
  }
  double probability(double x) const { return std::exp(x - top) / sum; }
  double lse() const { return std::log(sum) + top; }
};

static void softmaxes(long rows, long width) {
  const long n = rows * width;
  const std::string size = name(of(rows), "x", of(width));
  Array<float> x(n), g(n), y(n, NAN), z(n, NAN), gy(n, NAN), gz(n, NAN);
  normal(x, 3), normal(g);
  status("softmax", cuda::softmax(Rows<float>{x, y, rows, width}, nullptr));
  status("log_softmax", cuda::log_softmax(Rows<float>{x, z, rows, width}, nullptr));
  std::vector<Row> r;
  std::vector<double> plain(rows), both(rows);
  for (long i = 0; i < rows; ++i) {
    r.emplace_back(x + i * width, width);
    for (long j = i * width; j < (i + 1) * width; ++j)
      plain[i] += g[j], both[i] += g[j] * r[i].probability(x[j]);
  }
  auto p = [&](long i) { return r[i / width].probability(x[i]); };
  same("softmax " + size, y, p);
  same("log_softmax " + size, z, [&](long i) { return x[i] - r[i / width].lse(); });
  status("grad", cuda::softmax_grad(RowsGrad<float>{g, y, gy, rows, width}, nullptr));
  status("grad", cuda::log_softmax_grad(RowsGrad<float>{g, z, gz, rows, width}, nullptr));
  same("softmax_grad " + size, gy, [&](long i) { return p(i) * (g[i] - both[i / width]); });
  same("log_softmax_grad " + size, gz, [&](long i) { return g[i] - p(i) * plain[i / width]; });
}

static void cross_entropies(long rows, long classes, bool weighted, bool mean) {
  const std::string size = name(of(rows), "x", of(classes), weighted ? "weighted" : "");
  Array<float> x(rows * classes), w(classes), loss(rows, NAN), total(1, NAN);
  Array<float> g(1, 0.7f), y(rows * classes, NAN);
  Array<long> target(rows);
  normal(x, 3), normal(w), labels(target, classes);
  for (long i = 0; i < classes; ++i)
    w[i] = std::fabs(w[i]) + 0.1f;
  for (long i = 1; i < rows; i += 4)
    target[i] = -100;
  if (rows > 3)
    target[rows - 1] = classes; // no class: NaN, and nothing past the row is read
  const Labels<float> labels{target, weighted ? w.data() : nullptr, -100};
  status(size, cuda::cross_entropy(CrossEntropy<float>{x, labels, loss, total, mean, rows, classes},
                                   nullptr));
  auto weight = [&](long r) {
    return target[r] == -100 ? 0 : target[r] == classes ? NAN : weighted ? w[target[r]] : 1.f;
  };
  std::vector<Row> row;
  double all = 0, weights = 0;
  for (long r = 0; r < rows; ++r) {
    row.emplace_back(x + r * classes, classes);
    weights += weight(r);
  }
  auto one = [&](long r) {
    return weight(r) == 0          ? 0
           : std::isnan(weight(r)) ? NAN
                                   : (row[r].lse() - x[r * classes + target[r]]) * weight(r);
  };
  for (long r = 0; r < rows; ++r)
    all += one(r);
  same("loss " + size, loss, one);
  same("total " + size, total, [&](long) { return mean ? all / weights : all; });
  Array<double> space(1);
  static_assert(cuda::cross_entropy_grad_space == sizeof(double));
  status(size,
         cuda::cross_entropy_grad(CrossEntropyGrad<float>{g, x, 0, labels, y, mean, rows, classes},
                                  space, nullptr));
  same("cross_entropy_grad " + size, y, [&](long i) {
    const long r = i / classes;
    const double p = row[r].probability(x[i]) - (i % classes == target[r]);
    return target[r] == -100 ? 0 : p * 0.7 * weight(r) / (mean ? weights : 1);
  });
}

int main() {
  return check::run([] {
    softmaxes(2, 33), softmaxes(1, 1025), softmaxes(17, 10);
    cross_entropies(3, 33, true, true), cross_entropies(2, 1031, false, false);
    if (check::few)
      return;
    softmaxes(0, 5), softmaxes(3, 0);
    for (long width : {1, 2, 7, 31, 32, 33, 63, 97, 127, 1023, 1024, 1025, 1543})
      for (long rows : {1, 5})
        softmaxes(rows, width);
    softmaxes(67, 10);
    cross_entropies(0, 5, false, false);
    for (long classes : {1, 3, 32, 33, 257, 1031})
      cross_entropies(3, classes, true, true), cross_entropies(6, classes, false, false);
    cross_entropies(600, 2, true, false), cross_entropies(2, 10, true, true);
  });
}
