// Activations on whole arrays: values, and gradients through them. And dropout.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

constexpr int element_threads = 256;

// use(i, at(i)) for each i below count; neighbours in memory belong to neighbouring threads.
template <class V, class Load, class Use>
ON_DEVICE void each_element(index count, const Load &at, const Use &use) {
#ifdef PLANT_ELEMENT_BOUND
  count += 1;
#endif
  in_fours<V>(index(blockIdx.x) * element_threads + threadIdx.x, count,
              index(gridDim.x) * element_threads, at, use);
}

// Where element i is in rows that lie `step` apart. A division costs more than the element.
ON_DEVICE index place_of(index i, index width, index step) {
  return step == width ? i : i / width * step + i % width;
}

template <class T>
__global__ void __launch_bounds__(element_threads) activate_elements(Elements<T> s) {
  with_act(s.act, [&](auto f) {
    each_element<T>(
        s.count, [&](index i) { return s.x[place_of(i, s.width, s.x_row)]; },
        [&](index i, T x) { narrow(f.value(widen(x)), s.y[i]); });
  });
}

template <class T> struct Pair {
  T a, b;
};

template <class T>
__global__ void __launch_bounds__(element_threads) activate_grad_elements(Elements<T> s) {
  with_act(s.act, [&](auto f) {
    each_element<Pair<T>>(
        s.count,
        [&](index i) {
          return Pair<T>{s.g[place_of(i, s.width, s.g_row)], s.x[place_of(i, s.width, s.x_row)]};
        },
        [&](index i, Pair<T> v) { narrow(widen(v.a) * f.slope(widen(v.b)), s.y[i]); });
  });
}

template <class T> struct Kept {
  T x;
  bool keep;
};

// x times 0, not 0: infinities and NaN are not dropped, as in PyTorch.
template <class T>
__global__ void __launch_bounds__(element_threads) dropout_elements(Dropout<T> s) {
  const Wide<T> scale = Wide<T>(s.scale);
  each_element<Kept<T>>(
      s.count, [&](index i) { return Kept<T>{s.x[i], s.keep[i] != 0}; },
      [&](index i, Kept<T> v) { narrow(widen(v.x) * (v.keep ? scale : Wide<T>(0)), s.y[i]); });
}

// ---- launchers

#define LAUNCH_ELEMENTS(kernel_of, count, stream, ...)                                             \
  if ((count) == 0)                                                                                \
    return {};                                                                                     \
  auto kernel = kernel_of;                                                                         \
  LAUNCH(kernel, grid_for(count, 4 * element_threads), element_threads, 0, stream_of(stream),      \
         __VA_ARGS__);                                                                             \
  TRY(cudaGetLastError());                                                                         \
  return {}

template <class T> Status activate(const Elements<T> &s, Stream stream) {
  LAUNCH_ELEMENTS(activate_elements<T>, s.count, stream, s);
}
template <class T> Status activate_grad(const Elements<T> &s, Stream stream) {
  LAUNCH_ELEMENTS(activate_grad_elements<T>, s.count, stream, s);
}
template <class T> Status dropout(const Dropout<T> &s, Stream stream) {
  LAUNCH_ELEMENTS(dropout_elements<T>, s.count, stream, s);
}

} // namespace tinygrad_ai::cuda
