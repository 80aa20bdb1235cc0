// Launchers of norm.cuh.

#include "norm.cuh"

namespace tinygrad_ai::cuda {

#define INSTANTIATE(T)                                                                             \
  template Status layer_norm(const LayerNorm<T> &, Stream);                                        \
  template index layer_norm_grad_space<T>(index, index);                                           \
  template Status layer_norm_grad(const LayerNormGrad<T> &, void *, Stream);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
INSTANTIATE(f16)

} // namespace tinygrad_ai::cuda
