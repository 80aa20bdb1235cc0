// The kernels of attention_mma.cuh on the CPU, against the formulas with a matrix of scores.

#include "../../csrc/cuda/attention_bf16.cu"
#include "../../csrc/cuda/attention_f16.cu"
#include "attention_check.h"

// 2^-9 of each probability and each result are rounded away, or 2^-12.
static void brain(const Case &c) { Trial<cuda::bf16>(c).run(2e-2); }
static void half(const Case &c) { Trial<cuda::f16>(c).run(3e-3); }

int main() {
  return check::run([] {
    brain({1, 1, 33, 70, 16, 24, false, false, false, false, true});
    half({1, 1, 66, 33, 3, 5, true, true, true, true});
    if (check::few)
      return;
    half({1, 2, 150, 200, 64, 64, false, false, false, false, true});
    half({1, 1, 200, 140, 64, 64, true, false, false, false, true});
    brain({1, 1, 129, 65, 128, 128, true, false, false, false, true});
    half({1, 1, 70, 130, 72, 128, false, true, true, true, true});
    brain({1, 1, 33, 70, 128, 65, true, true, true, true});
    half({2, 3, 5, 7, 4, 3, false, true, false, true});
    half({1, 1, 9, 40, 7, 127, false, false, true});
    half({1, 1, 40, 37, 8, 8, true, false, false, true, true});
    half({1, 1, 40, 37, 8, 8, false, false, false, false, true, -0.3});
    half({1, 1, 3, 5, 8, 8, false, false, false, false, true, 0});
    half({1, 1, 1, 1, 1, 1}), brain({1, 1, 64, 64, 64, 64, false, false, false, false, true});
    half({1, 1, 0, 3, 2, 2}), half({1, 2, 2, 0, 2, 2}), half({0, 1, 3, 3, 2, 2});
    half({1, 1, 3, 0, 2, 2, true}), half({1, 1, 200, 3, 2, 2, true});
    half({1, 1, 3, 200, 2, 2, true});
    too_wide<cuda::bf16>();
  });
}
