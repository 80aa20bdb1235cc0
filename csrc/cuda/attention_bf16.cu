// Attention on tensor cores, bfloat16.

#include "attention_mma_launch.cuh"

namespace tinygrad_ai::cuda {

template <> Status attention(const Attention<bf16> &f, void *stream) {
  return attention_of<Bf16>(f, stream);
}
template <> std::size_t attention_shared(const Attention<bf16> &f) { return shared_of(f); }
template <> std::size_t attention_grad_space(const AttentionGrad<bf16> &p) {
  return grad_sums_space(p);
}
template <> Status attention_grad(const AttentionGrad<bf16> &p, void *workspace, void *stream) {
  return attention_grad_of<Bf16>(p, workspace, stream);
}

} // namespace tinygrad_ai::cuda
