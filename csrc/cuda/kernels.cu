// The launchers of attention.cuh and attention_grad.cuh for float and double.

#include "attention_grad.cuh"

namespace tinygrad_ai::cuda {

#define FOR(T)                                                                                     \
  template int attention(const Attention<T> &, Stream);                                            \
  template std::size_t attention_grad_space(const AttentionGrad<T> &);                             \
  template int attention_grad(const AttentionGrad<T> &, void *, Stream);

FOR(float)
FOR(double)

} // namespace tinygrad_ai::cuda
