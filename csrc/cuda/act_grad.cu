// Launchers of act_grad.cuh.

#include "act_grad.cuh"
#include "launch.cuh"

namespace tinygrad_ai::cuda {

// Into how many pieces the rows are divided: enough to fill a GPU, few enough to add up quickly,
// and never by the machine, or the sums would differ from one to the next.
static index parts(index rows) {
  const index many = pieces(rows, 64);
  return many < 1 ? 1 : many < 256 ? many : 256;
}

template <class T> index act_grad_space(index rows, index columns) {
  return parts(rows) * columns * static_cast<index>(sizeof(Wide<T>));
}

template <class T> Status act_grad(const ActGrad<T> &p, void *stream) {
  if (p.columns == 0 || (p.rows == 0 && !p.gb))
    return {};
  const index count = parts(p.rows), length = pieces(p.rows, count);
  const index across = pieces(p.columns, strip_columns), blocks = pieces(p.columns, 128);
  if (length > most || across > most || (p.gb && !p.space))
    TRY(cudaErrorInvalidValue);
  const cudaStream_t on = static_cast<cudaStream_t>(stream);
  Wide<T> *part = p.gb ? static_cast<Wide<T> *>(p.space) : nullptr;
  auto kernel = act_grad_kernel<T>;
  const dim3 grid(static_cast<unsigned>(across), static_cast<unsigned>(count));
  const dim3 block(strip_columns, strip_rows);
  LAUNCH(kernel, grid, block, strip_rows * strip_line * sizeof(Wide<T>), on, p, part,
         static_cast<int>(length));
  TRY(cudaGetLastError());
  if (!p.gb)
    return {};
  auto sum = sum_parts_kernel<T>;
  LAUNCH(sum, dim3(static_cast<unsigned>(blocks)), dim3(128), 0, on, part, p.gb,
         static_cast<int>(count), p.columns);
  TRY(cudaGetLastError());
  return {};
}

#define INSTANTIATE(T)                                                                             \
  template index act_grad_space<T>(index, index);                                                  \
  template Status act_grad(const ActGrad<T> &, void *);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(bf16)
INSTANTIATE(f16)

} // namespace tinygrad_ai::cuda
