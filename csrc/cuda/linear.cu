// Launchers of linear.cuh.

#include "launch.cuh"
#include "linear.cuh"

namespace tinygrad_ai::cuda {

template <class T> Status tiled(const LinearProduct<T> &p, void *stream) {
  constexpr int SIDE = 16;
  if (p.m == 0 || p.n == 0)
    return {}; // an empty grid would be an error
  const index blocks = pieces(p.m, SIDE) * pieces(p.n, SIDE);
  if (p.layout != Layout::nt || too_large(p.m, p.n, p.k) || blocks > most)
    TRY(cudaErrorInvalidValue);
  auto kernel = tiled_kernel<T, SIDE>;
  const dim3 grid(static_cast<unsigned>(blocks)), block(SIDE, SIDE);
  LAUNCH(kernel, grid, block, 2 * SIDE * (SIDE + 1) * sizeof(T), static_cast<cudaStream_t>(stream),
         p);
  TRY(cudaGetLastError());
  return {};
}

template <class T, Layout L, class B> Status blocked_as(const LinearProduct<T> &p, void *stream) {
  const index blocks = pieces(p.m, B::BM) * pieces(p.n, B::BN);
  if (blocks > most)
    TRY(cudaErrorInvalidValue);
  auto kernel = blocked_kernel<T, L, B>;
  const dim3 grid(static_cast<unsigned>(blocks)), block(B::threads);
  LAUNCH(kernel, grid, block, B::numbers * sizeof(T), static_cast<cudaStream_t>(stream), p);
  TRY(cudaGetLastError());
  return {};
}

template <class T, class B> Status blocked_by(const LinearProduct<T> &p, void *stream) {
  switch (p.layout) {
  case Layout::nt: return blocked_as<T, Layout::nt, B>(p, stream);
  case Layout::nn: return blocked_as<T, Layout::nn, B>(p, stream);
  case Layout::tn: return blocked_as<T, Layout::tn, B>(p, stream);
  }
  return {cudaErrorInvalidValue, __FILE__, __LINE__};
}

template <class T> Status blocked(const LinearProduct<T> &p, void *stream) {
  if (p.m == 0 || p.n == 0)
    return {};
  if (too_large(p.m, p.n, p.k))
    TRY(cudaErrorInvalidValue);
  if constexpr (sizeof(T) == 4) { // large tiles, where they are enough for all multiprocessors
    Gpu gpu{};
    PASS(ask(&gpu));
    if (pieces(p.m, 128) * pieces(p.n, 128) >= gpu.processors)
      return blocked_by<T, Blocking<128, 128, 8, 8, 8>>(p, stream);
  }
  return blocked_by<T, Blocking<64, 64, 16, 4, 4>>(p, stream);
}

template Status tiled(const LinearProduct<float> &, void *);
template Status tiled(const LinearProduct<double> &, void *);
template Status blocked(const LinearProduct<float> &, void *);
template Status blocked(const LinearProduct<double> &, void *);

} // namespace tinygrad_ai::cuda
