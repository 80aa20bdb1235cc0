// The launchers of kernels.h for float and double.

#include "embedding.cuh"
#include "norm.cuh"
#include "optim.cuh"
#include "philox.cuh"
#include "rows.cuh"

namespace tinygrad_ai::cuda {

#define FOR(T)                                                                                     \
  template int softmax(const Rows<T> &, Stream);                                                   \
  template int log_softmax(const Rows<T> &, Stream);                                               \
  template int softmax_grad(const RowsGrad<T> &, Stream);                                          \
  template int log_softmax_grad(const RowsGrad<T> &, Stream);                                      \
  template int cross_entropy(const CrossEntropy<T> &, Stream);                                     \
  template int cross_entropy_grad(const CrossEntropyGrad<T> &, void *, Stream);                    \
  template int activate(const Elements<T> &, Stream);                                              \
  template int activate_grad(const Elements<T> &, Stream);                                         \
  template int dropout(const Dropout<T> &, Stream);                                                \
  template int uniform(const Random &, T *, index, Stream);                                        \
  template int adam(const AdamList<T> &, Stream);                                                  \
  template int sgd(const SgdList<T> &, Stream);                                                    \
  template int rmsprop(const RmsPropList<T> &, Stream);                                            \
  template int layer_norm(const LayerNorm<T> &, Stream);                                           \
  template std::size_t layer_norm_grad_space(const LayerNormGrad<T> &);                            \
  template int layer_norm_grad(const LayerNormGrad<T> &, void *, Stream);                          \
  template int embedding(const Embedding<T> &, index, Stream);                                     \
  template int embedding_grad(const EmbeddingGrad<T> &, index, const std::int64_t *, bool, Stream);

FOR(float)
FOR(double)

} // namespace tinygrad_ai::cuda
