// Tensor cores, float32 rounded to TF32.

#include "tensor_core_launch.cuh"

namespace tinygrad_ai::cuda {

template <> Status tensor_core(const LinearProduct<float> &p, void *stream) {
  return tensor_core_of<Tf32>(p, stream);
}

} // namespace tinygrad_ai::cuda
