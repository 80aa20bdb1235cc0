// Launchers of rows.cuh.

#include "rows.cuh"

namespace tinygrad_ai::cuda {

#define INSTANTIATE(T)                                                                             \
  template Status softmax(const Rows<T> &, Stream);                                                \
  template Status log_softmax(const Rows<T> &, Stream);                                            \
  template Status softmax_grad(const RowsGrad<T> &, Stream);                                       \
  template Status log_softmax_grad(const RowsGrad<T> &, Stream);                                   \
  template Status cross_entropy(const CrossEntropy<T> &, Stream);                                  \
  template Status cross_entropy_grad(const CrossEntropyGrad<T> &, void *, Stream);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
INSTANTIATE(f16)

} // namespace tinygrad_ai::cuda
