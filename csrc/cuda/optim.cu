// Launchers of optim.cuh.

#include "optim.cuh"

namespace tinygrad_ai::cuda {

#define INSTANTIATE(T)                                                                             \
  template Status adam(const AdamList<T> &, Stream);                                               \
  template Status sgd(const SgdList<T> &, Stream);                                                 \
  template Status rmsprop(const RmsPropList<T> &, Stream);
INSTANTIATE(float)
INSTANTIATE(double)

} // namespace tinygrad_ai::cuda
