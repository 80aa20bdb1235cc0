// What the kernels share: sizes of grids, and reductions in a fixed order.

#pragma once

#include "half.cuh"
#include "kernels.h"
#include "launch.cuh"
#include "math.cuh"

namespace tinygrad_ai::cuda {

constexpr int warp = 32;
constexpr unsigned whole_warp = 0xffffffffu;

ON_DEVICE float log_of(float x) { return logf(x); }
ON_DEVICE double log_of(double x) { return log(x); }
ON_DEVICE float root_of(float x) { return sqrtf(x); }
ON_DEVICE double root_of(double x) { return sqrt(x); }
template <class T> ON_DEVICE constexpr T infinity() { return T(__builtin_huge_val()); }
template <class T> ON_DEVICE constexpr T not_a_number() { return T(__builtin_nan("")); }

// Not a NaN if one is there: it comes out of the sum that follows a maximum.
template <class T> ON_DEVICE T larger(T a, T b) { return a > b ? a : b; }

// Every kernel walks over its work in steps of the grid, so any grid will do. Tests make it small.
#ifndef GRID_LIMIT
#define GRID_LIMIT (1 << 20)
#endif
inline unsigned grid_for(index work, index each) {
  const index blocks = (work + each - 1) / each;
  return static_cast<unsigned>(blocks < GRID_LIMIT ? blocks : GRID_LIMIT);
}
inline cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream); }

// f over the values of `lanes` neighbours, the same for each of them. All lanes of the warp come.
template <int lanes, class V, class F> ON_DEVICE V warp_reduce(V v, const F &f) {
#pragma unroll
  for (int step = lanes / 2; step > 0; step /= 2)
    v = f(v, __shfl_xor_sync(whole_warp, v, step));
  return v;
}

// f over the values of all threads, in the order of the warps. Shared: one V for each warp.
template <int threads, class V, class F> ON_DEVICE V block_reduce(V v, V *shared, const F &f) {
  v = warp_reduce<warp>(v, f);
  __syncthreads(); // who reads the reduction before must be done
  if (threadIdx.x % warp == 0)
    shared[threadIdx.x / warp] = v;
#ifndef PLANT_REDUCE_BARRIER
  __syncthreads();
#endif
  v = shared[0];
#pragma unroll
  for (int i = 1; i < threads / warp; ++i)
    v = f(v, shared[i]);
  return v;
}

// use(i, at(i)) for i, i + step, ... below end. Four are loaded before the first is used: the
// compiler may not do that alone where `use` stores, and one load at a time leaves memory idle.
template <class V, class Load, class Use>
ON_DEVICE void in_fours(index i, index end, index step, const Load &at, const Use &use) {
  for (; i < end; i += 4 * step) {
    V v[4]{};
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (i + k * step < end)
        v[k] = at(i + k * step);
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (i + k * step < end)
        use(i + k * step, v[k]);
  }
}

// The threads that work on one row together: some lanes of a warp, a warp, or a block.
template <int lanes> struct Team {
  static constexpr int threads = lanes > warp ? lanes : 128;
  static constexpr int teams = threads / lanes; // in a block

  ON_DEVICE static int lane() { return threadIdx.x % lanes; }
  ON_DEVICE static int team() { return threadIdx.x / lanes; }

  template <class V, class F> ON_DEVICE static V all(V v, const F &f) {
    if constexpr (lanes <= warp) {
      return warp_reduce<lanes>(v, f);
    } else {
      DYNAMIC_SHARED(V, shared);
      return block_reduce<lanes>(v, shared, f);
    }
  }
  template <class V> ON_DEVICE static V sum(V v) {
    return all(v, [](V a, V b) { return a + b; });
  }
  template <class V> ON_DEVICE static V max(V v) {
    return all(v, [](V a, V b) { return larger(a, b); });
  }

  // Σ f(i) over a row.
  template <class V, class F> ON_DEVICE static V sum_over(index width, const F &f) {
    V v = 0;
    for (index i = lane(); i < width; i += lanes)
      v += f(i);
    return sum(v);
  }
  template <class F> ON_DEVICE static void over(index width, const F &f) {
    for (index i = lane(); i < width; i += lanes)
      f(i);
  }

  // y[i] = f(i, x[i]), f in the type that T is computed in
  template <class T, class F>
  ON_DEVICE static void map(const T *x, T *y, index width, const F &f) {
    in_fours<T>(
        lane(), width, lanes, [&](index i) { return x[i]; },
        [&](index i, T v) { narrow(f(i, widen(v)), y[i]); });
  }
  template <class T> ON_DEVICE static void copy(const T *x, T *y, index width) {
    in_fours<T>(
        lane(), width, lanes, [&](index i) { return x[i]; }, [&](index i, T v) { y[i] = v; });
  }

  // f(row, width): all teams come equally often, past the last row with a width of 0, because
  // reductions wait for everyone.
  template <class F> ON_DEVICE static void by_row(index count, index width, const F &f) {
    for (index first = index(blockIdx.x) * teams; first < count;
         first += index(gridDim.x) * teams) {
      const index row = first + team();
      f(row, row < count ? width : 0);
    }
  }
};

// launch(Team) with the team that suits the width of the rows.
template <class F> Status with_team(index width, const F &launch) {
  if (width <= 32)
    return launch(Team<8>{});
  if (width <= 1024)
    return launch(Team<32>{});
  return launch(Team<256>{});
}

constexpr std::size_t team_shared = 256 / warp * sizeof(double);

// The body of a launcher of kernel_of<T, Team>, which returns at once where there are no rows.
#define LAUNCH_ROWS(kernel_of, count, width, ...)                                                  \
  if ((count) == 0)                                                                                \
    return {};                                                                                     \
  return with_team(width, [&](auto team) -> Status {                                               \
    using Team = decltype(team);                                                                   \
    auto kernel = kernel_of<T, Team>;                                                              \
    LAUNCH(kernel, grid_for(count, Team::teams), Team::threads, team_shared, stream_of(stream),    \
           __VA_ARGS__);                                                                           \
    TRY(cudaGetLastError());                                                                       \
    return {};                                                                                     \
  })

} // namespace tinygrad_ai::cuda
