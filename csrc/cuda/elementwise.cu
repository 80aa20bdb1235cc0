// Launchers of elementwise.cuh.

#include "elementwise.cuh"

namespace tinygrad_ai::cuda {

#define INSTANTIATE(T)                                                                             \
  template Status activate(const Elements<T> &, Stream);                                           \
  template Status activate_grad(const Elements<T> &, Stream);                                      \
  template Status dropout(const Dropout<T> &, Stream);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
INSTANTIATE(f16)

} // namespace tinygrad_ai::cuda
