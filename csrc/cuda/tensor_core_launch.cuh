// The launcher of tensor_core.cuh; each kind of numbers is a file of its own, to build side by
// side.

#pragma once

#include "launch.cuh"
#include "tensor_core.cuh"

namespace tinygrad_ai::cuda {

template <class Kind, Layout L, class S, bool WIDE>
Status tensor_core_as(const LinearProduct<typename Kind::Number> &p, void *stream) {
  constexpr int bytes = Stages<Kind, L, S, WIDE>::bytes;
  const index blocks = pieces(p.m, S::BM) * pieces(p.n, S::BN);
  if (blocks > most)
    TRY(cudaErrorInvalidValue);
  auto kernel = tensor_core_kernel<Kind, L, S, WIDE>;
  // Set at each launch: once would have to be once for each GPU, and kept somewhere.
  TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  LAUNCH(kernel, dim3(static_cast<unsigned>(blocks)), dim3(S::threads), bytes,
         static_cast<cudaStream_t>(stream), p);
  TRY(cudaGetLastError());
  return {};
}

template <class Kind, class S, bool WIDE>
Status tensor_core_by(const LinearProduct<typename Kind::Number> &p, void *stream) {
  switch (p.layout) {
  case Layout::nt: return tensor_core_as<Kind, Layout::nt, S, WIDE>(p, stream);
  case Layout::nn: return tensor_core_as<Kind, Layout::nn, S, WIDE>(p, stream);
  case Layout::tn: return tensor_core_as<Kind, Layout::tn, S, WIDE>(p, stream);
  }
  return {cudaErrorInvalidValue, __FILE__, __LINE__};
}

// Whether every line of a and b begins on 16 bytes.
template <class T> bool lines_are_aligned(const LinearProduct<T> &p) {
  const index a_line = p.layout == Layout::tn ? p.m : p.k;
  const index b_line = p.layout == Layout::nt ? p.k : p.n;
  const auto places = reinterpret_cast<unsigned long long>(p.a) |
                      reinterpret_cast<unsigned long long>(p.b) |
                      static_cast<unsigned long long>(a_line | b_line) * sizeof(T);
  return places % 16 == 0;
}

template <class Kind>
Status tensor_core_of(const LinearProduct<typename Kind::Number> &p, void *stream) {
  using Large = Shape<128, 128, 32, 64, 32, Kind::stages>;
  using Small = Shape<64, 64, 32, 32, 32, Kind::stages>;
  if (p.m == 0 || p.n == 0)
    return {};
  if (too_large(p.m, p.n, p.k))
    TRY(cudaErrorInvalidValue);
  if (!lines_are_aligned(p)) // number by number: slow in any shape
    return tensor_core_by<Kind, Small, false>(p, stream);
  // Large tiles read less, small ones give every multiprocessor something to do; and not every GPU
  // has the shared memory for large ones.
  Gpu gpu{};
  PASS(ask(&gpu));
  const bool many = pieces(p.m, Large::BM) * pieces(p.n, Large::BN) >= gpu.processors;
  if (many && Stages<Kind, Layout::nt, Large, true>::bytes <= gpu.shared_bytes)
    return tensor_core_by<Kind, Large, true>(p, stream);
  return tensor_core_by<Kind, Small, true>(p, stream);
}

} // namespace tinygrad_ai::cuda
