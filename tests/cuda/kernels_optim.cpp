// The kernels of optim.cuh on the CPU: lists of tensors longer than a launch takes, empty ones too.

#include "../../csrc/cuda/optim.cuh"
#include "check.h"

#include <list>

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

struct Tensor { // a parameter, its gradient and its state, and what they should become
  Array<float> p, g, m, v, top;
  std::vector<double> want_p, want_m, want_v, want_top;
  explicit Tensor(long n) : p(n), g(n), m(n), v(n), top(n) {
    normal(p), normal(g), normal(m), normal(v), normal(top);
    for (long i = 0; i < n; ++i)
      v[i] = std::fabs(v[i]), top[i] = std::fabs(top[i]);
    for (long i = 0; i < n; ++i)
      want_p.push_back(p[i]), want_m.push_back(m[i]), want_v.push_back(v[i]),
          want_top.push_back(top[i]);
  }
  void compare(const std::string &what) {
    same(what + " p", p, [&](long i) { return want_p[i]; });
    same(what + " m", m, [&](long i) { return want_m[i]; });
    same(what + " v", v, [&](long i) { return want_v[i]; });
    same(what + " top", top, [&](long i) { return want_top[i]; });
  }
};

static const std::vector<long> many = [] {
  std::vector<long> sizes{1, 0, 4095, 4096, 4097, 9001, 0, 257};
  for (long i = 0; i < 50; ++i)
    sizes.push_back(i % 7);
  return sizes;
}();

static void adam(const std::vector<long> &sizes, bool amsgrad, double decay, bool decoupled) {
  std::list<Tensor> tensors(sizes.begin(), sizes.end());
  std::vector<cuda::AdamTensor<float>> list;
  const long n = static_cast<long>(sizes.size());
  const bool far = amsgrad; // the numbers stand on the device
  Array<double> lr(1, 0.01);
  Array<long> step(n);
  const double b1 = 0.9, b2 = 0.99, eps = 1e-8;
  long t = 0;
  for (auto &x : tensors) {
    const double s = step[t] = 1 + t % 5;
    list.push_back({x.p, x.g, x.m, x.v, amsgrad ? x.top.data() : nullptr, x.p.size(),
                    far ? 99 : step[t], far ? step.data() + t : nullptr});
    ++t;
    for (long i = 0; i < x.p.size(); ++i) {
      double &p = x.want_p[i], &m = x.want_m[i], &v = x.want_v[i], g = x.g[i];
      if (decoupled)
        p *= 1 - lr[0] * decay;
      else
        g += decay * p;
      m += (1 - b1) * (g - m);
      v = b2 * v + (1 - b2) * g * g;
      double u = v;
      if (amsgrad)
        u = x.want_top[i] = std::fmax(x.want_top[i], v);
      p -= lr[0] * m / (1 - std::pow(b1, s)) / (std::sqrt(u / (1 - std::pow(b2, s))) + eps);
    }
  }
  const cuda::AdamList<float> all{
      list.data(), n, far ? 99 : lr[0], far ? lr.data() : nullptr, b1, b2, eps, decay, decoupled};
  status("adam", cuda::adam(all, nullptr));
  for (auto &x : tensors)
    x.compare(name("adam", of(x.p.size())));
}

static void sgd(const std::vector<long> &sizes, double momentum, double decay, bool nesterov) {
  std::list<Tensor> tensors(sizes.begin(), sizes.end());
  std::vector<cuda::SgdTensor<float>> list;
  Array<double> lr(1, 0.1);
  const double dampening = nesterov ? 0 : 0.2;
  long t = 0;
  for (auto &x : tensors) {
    const bool first = ++t % 3 == 0;
    list.push_back({x.p, x.g, momentum ? x.m.data() : nullptr, x.p.size(), first});
    for (long i = 0; i < x.p.size(); ++i) {
      double g = x.g[i] + decay * x.want_p[i], &v = x.want_m[i];
      if (momentum) {
        v = first ? g : momentum * v + (1 - dampening) * g;
        g = nesterov ? g + momentum * v : v;
      }
      x.want_p[i] -= lr[0] * g;
    }
  }
  const bool far = nesterov;
  const cuda::SgdList<float> all{
      list.data(), t,     far ? 99 : lr[0], far ? lr.data() : nullptr, momentum,
      dampening,   decay, nesterov};
  status("sgd", cuda::sgd(all, nullptr));
  for (auto &x : tensors)
    x.compare(name("sgd", of(x.p.size())));
}

static void rmsprop(const std::vector<long> &sizes, bool centered, double momentum) {
  std::list<Tensor> tensors(sizes.begin(), sizes.end());
  std::vector<cuda::RmsPropTensor<float>> list;
  Array<double> lr(1, 0.01);
  const double alpha = 0.9, eps = 0.5, decay = 0.1; // a large ε: the roots differ little
  for (auto &x : tensors) {
    for (long i = 0; i < x.v.size(); ++i)
      x.v[i] = x.want_v[i] = x.v[i] + 20; // more than any squared mean
    list.push_back({x.p, x.g, x.v, centered ? x.m.data() : nullptr,
                    momentum ? x.top.data() : nullptr, x.p.size()});
    for (long i = 0; i < x.p.size(); ++i) {
      const double g = x.g[i] + decay * x.want_p[i];
      double spread = x.want_v[i] = alpha * x.want_v[i] + (1 - alpha) * g * g;
      if (centered) {
        x.want_m[i] += (1 - alpha) * (g - x.want_m[i]);
        spread -= x.want_m[i] * x.want_m[i];
      }
      double move = g / (std::sqrt(spread) + eps);
      if (momentum)
        x.want_top[i] = move = momentum * x.want_top[i] + move;
      x.want_p[i] -= lr[0] * move;
    }
  }
  const cuda::RmsPropList<float> all{list.data(),
                                     static_cast<long>(sizes.size()),
                                     centered ? 99 : lr[0],
                                     centered ? lr.data() : nullptr,
                                     alpha,
                                     eps,
                                     decay,
                                     momentum};
  status("rmsprop", cuda::rmsprop(all, nullptr));
  for (auto &x : tensors)
    x.compare(name("rmsprop", of(x.p.size())));
}

int main() {
  return check::run([] {
    if (check::few)
      return adam({3, 0, 4100, 9}, true, 0.1, false), sgd({3, 0, 4100, 9}, 0.9, 0.1, false);
    adam({}, false, 0, false), adam({0}, false, 0, false);
    adam({5, 300}, true, 0, false), adam({33}, false, 0.1, true);
    adam(many, true, 0.1, false), adam(many, false, 0.1, true);
    sgd({}, 0, 0, false), sgd({7, 0, 129}, 0, 0.1, false);
    rmsprop({5, 0, 300}, false, 0), rmsprop(many, true, 0.9);
    sgd({5, 33, 300}, 0.9, 0, true), sgd(many, 0.9, 0.1, false);
  });
}
