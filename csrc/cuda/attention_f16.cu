// Attention on tensor cores, float16.

#include "attention_mma_launch.cuh"

namespace tinygrad_ai::cuda {

template <> Status attention(const Attention<f16> &f, void *stream) {
  return attention_of<F16>(f, stream);
}
template <> std::size_t attention_shared(const Attention<f16> &f) { return shared_of(f); }
template <> std::size_t attention_grad_space(const AttentionGrad<f16> &p) {
  return grad_sums_space(p);
}
template <> Status attention_grad(const AttentionGrad<f16> &p, void *workspace, void *stream) {
  return attention_grad_of<F16>(p, workspace, stream);
}

} // namespace tinygrad_ai::cuda
