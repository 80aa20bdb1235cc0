// The kernels of attention.cuh on the CPU, against the formulas with a matrix of scores.

#include "../../csrc/cuda/attention.cu"
#include "attention_check.h"

static void attend(const Case &c) { Trial<float>(c).run(1e-4); }

// Two heads whose queries lie more than 2^31 elements apart.
static void far_heads() {
  using check::Array;
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
  check::status("far heads", cuda::attention(f, nullptr).code);
  const double p = 1 / (1 + std::exp(2.0)); // of the first key, for q = 1
  check::same("far heads", y, [&](long i) { return i == 0 ? 3 : 2 * p + 4 * (1 - p); });
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
    too_wide<float>();
  });
}
