// Steps of optimizers on many tensors in one launch. The list of tensors travels in the kernel's
// arguments, some dozens at a time: nothing is copied to the device, and a captured graph keeps it.

#pragma once

#include "reduce.cuh"

namespace tinygrad_ai::cuda {

constexpr int most_tensors = 48, step_threads = 256;
constexpr index step_chunk = 4096; // elements of one tensor that a block updates

// Some tensors of a list; first[i] is the first block of tensor i.
template <class Tensor> struct Batch {
  Tensor tensor[most_tensors];
  unsigned first[most_tensors + 1];
  int size;
};

// Both are there: what the host said, and for a captured graph where it stands on the device.
template <class List> ON_DEVICE double rate_of(const List &s) { return s.lr_at ? *s.lr_at : s.lr; }

// f(tensor's number, its first element of this block, the end).
template <class Tensor, class F> ON_DEVICE void own_chunk(const Batch<Tensor> &batch, const F &f) {
  int t = 0;
#ifdef PLANT_CHUNK_OWNER
  while (t + 1 < batch.size && batch.first[t + 1] < blockIdx.x)
#else
  while (t + 1 < batch.size && batch.first[t + 1] <= blockIdx.x)
#endif
    ++t;
  const index begin = index(blockIdx.x - batch.first[t]) * step_chunk;
  const index rest = batch.tensor[t].count - begin;
  f(t, begin, begin + (rest < step_chunk ? rest : step_chunk));
}

// Of an Adam step, what all elements share. βᵗ is a power in double precision: once a block.
template <class T> struct AdamNumbers {
  T rest1, beta2, rest2, eps, decay, keep, rate, scale;
};

template <class T>
__global__ void __launch_bounds__(step_threads)
    adam_step(const Batch<AdamTensor<T>> batch, AdamList<T> s) {
  DYNAMIC_SHARED(AdamNumbers<T>, shared);
  own_chunk(batch, [&](int t, index begin, index end) {
    if (threadIdx.x == 0) {
      const AdamTensor<T> &at = batch.tensor[t];
      const double lr = rate_of(s), step = double(at.step_at ? *at.step_at : at.step);
      AdamNumbers<T> n;
      n.rest1 = T(1 - s.beta1), n.beta2 = T(s.beta2), n.rest2 = T(1 - s.beta2), n.eps = T(s.eps);
      n.decay = s.decoupled ? T(0) : T(s.weight_decay);
      n.keep = s.decoupled ? T(1 - lr * s.weight_decay) : T(1);
      n.rate = T(lr / (1 - pow(s.beta1, step)));
      n.scale = T(1 / sqrt(1 - pow(s.beta2, step)));
      *shared = n;
    }
#ifndef PLANT_ADAM_BARRIER
    __syncthreads();
#endif
    const AdamNumbers<T> n = *shared;
    const AdamTensor<T> &at = batch.tensor[t];
    for (index i = begin + threadIdx.x; i < end; i += step_threads) {
      const T p = at.p[i], g = n.decay != 0 ? at.g[i] + n.decay * p : at.g[i];
      const T m = at.m[i] + n.rest1 * (g - at.m[i]);
      T v = n.beta2 * at.v[i] + n.rest2 * (g * g);
      at.m[i] = m;
      at.v[i] = v;
      if (at.v_max) {
        const T top = at.v_max[i];
        at.v_max[i] = v = top > v || top != top ? top : v; // a NaN stays, as in NumPy
      }
      at.p[i] = n.keep * p - n.rate * (m / (root_of(v) * n.scale + n.eps));
    }
  });
}

template <class T>
__global__ void __launch_bounds__(step_threads)
    sgd_step(const Batch<SgdTensor<T>> batch, SgdList<T> s) {
  own_chunk(batch, [&](int t, index begin, index end) {
    const SgdTensor<T> at = batch.tensor[t];
    const T lr = T(rate_of(s)), decay = T(s.weight_decay), momentum = T(s.momentum);
    const T take = T(1 - s.dampening);
    for (index i = begin + threadIdx.x; i < end; i += step_threads) {
      const T p = at.p[i];
      T g = decay != 0 ? at.g[i] + decay * p : at.g[i];
      if (at.velocity) {
        const T v = at.first ? g : momentum * at.velocity[i] + take * g;
        at.velocity[i] = v;
        g = s.nesterov ? g + momentum * v : v;
      }
      at.p[i] = p - lr * g;
    }
  });
}

template <class T>
__global__ void __launch_bounds__(step_threads)
    rmsprop_step(const Batch<RmsPropTensor<T>> batch, RmsPropList<T> s) {
  own_chunk(batch, [&](int t, index begin, index end) {
    const RmsPropTensor<T> &at = batch.tensor[t];
    const T lr = T(rate_of(s)), decay = T(s.weight_decay), momentum = T(s.momentum), eps = T(s.eps);
    const T alpha = T(s.alpha), rest = T(1 - s.alpha);
    for (index i = begin + threadIdx.x; i < end; i += step_threads) {
      const T p = at.p[i], g = decay != 0 ? at.g[i] + decay * p : at.g[i];
      T spread = alpha * at.square[i] + rest * (g * g);
      at.square[i] = spread;
      if (at.mean) {
        const T mean = at.mean[i] + rest * (g - at.mean[i]);
        at.mean[i] = mean;
        spread -= mean * mean;
      }
      T move = g / (root_of(spread) + eps);
      if (at.velocity)
        at.velocity[i] = move = momentum * at.velocity[i] + move;
      at.p[i] = p - lr * move;
    }
  });
}

// ---- launchers

constexpr std::size_t most_arguments = 4096; // bytes, for a kernel

// launch(batch, blocks) for the tensors of a list, some dozens at a time.
template <class Tensor, class F>
Status in_batches(const Tensor *tensors, index size, const F &launch) {
  for (index begin = 0; begin < size; begin += most_tensors) {
    Batch<Tensor> batch{};
    batch.size = static_cast<int>(size - begin < most_tensors ? size - begin : most_tensors);
    for (int i = 0; i < batch.size; ++i) {
      batch.tensor[i] = tensors[begin + i];
      const index blocks = pieces(tensors[begin + i].count, step_chunk);
      batch.first[i + 1] = batch.first[i] + static_cast<unsigned>(blocks);
    }
    if (batch.first[batch.size] > 0)
      PASS(launch(batch, batch.first[batch.size]));
  }
  return {};
}

#define LAUNCH_STEP(kernel_of, Tensor, List, shared, s, stream)                                    \
  static_assert(sizeof(Batch<Tensor<T>>) + sizeof(List<T>) <= most_arguments);                     \
  return in_batches((s).tensors, (s).size, [&](const auto &batch, unsigned blocks) -> Status {     \
    auto kernel = kernel_of<T>;                                                                    \
    LAUNCH(kernel, blocks, step_threads, shared, stream_of(stream), batch, s);                     \
    TRY(cudaGetLastError());                                                                       \
    return {};                                                                                     \
  })

template <class T> Status adam(const AdamList<T> &s, Stream stream) {
  LAUNCH_STEP(adam_step, AdamTensor, AdamList, sizeof(AdamNumbers<T>), s, stream);
}
template <class T> Status sgd(const SgdList<T> &s, Stream stream) {
  LAUNCH_STEP(sgd_step, SgdTensor, SgdList, 0, s, stream);
}
template <class T> Status rmsprop(const RmsPropList<T> &s, Stream stream) {
  LAUNCH_STEP(rmsprop_step, RmsPropTensor, RmsPropList, 0, s, stream);
}

} // namespace tinygrad_ai::cuda
