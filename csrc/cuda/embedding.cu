// Launchers of embedding.cuh.

#include "embedding.cuh"

namespace tinygrad_ai::cuda {

Status embedding_order(const std::int64_t *place, index count, std::int64_t *order, Stream stream) {
  if (count == 0)
    return {};
  LAUNCH(rank_places, grid_for(count, element_threads), element_threads,
         element_threads * sizeof(index), stream_of(stream), place, count, order);
  TRY(cudaGetLastError());
  return {};
}

#define INSTANTIATE(T)                                                                             \
  template Status embedding(const Embedding<T> &, index, Stream);                                  \
  template Status embedding_grad(const EmbeddingGrad<T> &, index, const std::int64_t *, bool,      \
                                 Stream);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
INSTANTIATE(f16)

} // namespace tinygrad_ai::cuda
