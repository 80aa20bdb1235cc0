// Tensor cores, bfloat16.

#include "tensor_core_launch.cuh"

namespace tinygrad_ai::cuda {

template <> Status tensor_core(const LinearProduct<bf16> &p, void *stream) {
  return tensor_core_of<Bf16>(p, stream);
}

} // namespace tinygrad_ai::cuda
