// What attention's launchers share.

#pragma once

#include "attention_parts.cuh"
#include "launch.cuh"

namespace tinygrad_ai::cuda {

// Launches a block for each piece of work. More shared memory than 48 kB has to be asked for.
template <class Kernel, class... Arguments>
Status launch_attention(Kernel kernel, int threads, index work, std::size_t bytes, void *stream,
                        const Arguments &...arguments) {
  if (work == 0)
    return {};
  if (bytes > 48 * 1024)
    TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)));
  LAUNCH(kernel, grid_for(work, 1), threads, bytes, static_cast<cudaStream_t>(stream),
         arguments...);
  TRY(cudaGetLastError());
  return {};
}

// The sums over g y of all rows, which lie in the workspace: the first step of every gradient.
template <class T>
Status launch_grad_sums(const AttentionGrad<T> &s, Wide<T> *both, void *stream) {
  const index rows = s.forward.lead.count * s.forward.rows;
  return launch_attention(attend_grad_sums<T>, Team<8>::threads, pieces(rows, Team<8>::teams), 0,
                          stream, s, both);
}

template <class T> bool too_wide(const Attention<T> &s) {
  return s.inner > most_inner || s.outer > most_inner;
}

} // namespace tinygrad_ai::cuda
