// The CUDA kernels as plain functions: a struct of pointers to device memory and sizes, a stream,
// and the status of the launch. They allocate nothing and wait for nothing.
//
// The structs are those of the CPU's kernels (../table.h). What is more here: scratch memory is
// passed in, its bytes told by a *_space function; and numbers that change from step to step (an
// offset, a learning rate, a step) come from the host or, for a captured graph, from device memory.
// All sums are made in an order that depends only on sizes.
//
// T is float, double, bf16 or f16; 16-bit numbers are computed with in float and rounded when they
// are stored. Optimizers are for float and double.

#pragma once

#include "../table.h"
#include "linear.h"

namespace tinygrad_ai::cuda {

using Stream = void *; // a cudaStream_t

// rows.cuh. A label that is neither `ignore` nor a class gives NaN: nobody waits to report it.
template <class T> Status softmax(const Rows<T> &, Stream);
template <class T> Status log_softmax(const Rows<T> &, Stream);
template <class T> Status softmax_grad(const RowsGrad<T> &, Stream);
template <class T> Status log_softmax_grad(const RowsGrad<T> &, Stream);
template <class T> Status cross_entropy(const CrossEntropy<T> &, Stream);
constexpr index cross_entropy_grad_space = sizeof(double);
template <class T> Status cross_entropy_grad(const CrossEntropyGrad<T> &, void *workspace, Stream);

// elementwise.cuh
template <class T> Status activate(const Elements<T> &, Stream);
template <class T> Status activate_grad(const Elements<T> &, Stream); // y = g f'(x)
template <class T> Status dropout(const Dropout<T> &, Stream);

// philox.cuh. Random numbers are a function of the seed and their place: four words of 32 bits for
// each number from offset + base[0] on, seed + base[1] the key. Without a base both are 0; a graph
// reads there how far it has come.
struct Random {
  std::uint64_t seed, offset;
  const std::uint64_t *base;
};
Status random_words(const Random &, std::uint32_t *y, index count, Stream);
Status uniform(const Random &, float *y, index count, Stream); // in [0, 1)
Status uniform(const Random &, double *y, index count, Stream);
// Whether each word is below limit: with a chance of limit / 2³².
Status below(const Random &, unsigned char *y, index count, std::uint64_t limit, Stream);

// optim.cuh. Lists of tensors live in the host's memory and are read before the call returns.
template <class T> struct AdamTensor {
  T *p;
  const T *g;
  T *m, *v, *v_max; // v_max: nullptr without AMSGrad
  index count;
  std::int64_t step;           // how many there were with this one,
  const std::int64_t *step_at; // or where that stands on the device
};
template <class T> struct AdamList {
  const AdamTensor<T> *tensors;
  index size;
  double lr;
  const double *lr_at; // nullptr, or where the learning rate stands on the device
  double beta1, beta2, eps, weight_decay;
  bool decoupled;
};
template <class T> Status adam(const AdamList<T> &, Stream);

template <class T> struct SgdTensor {
  T *p;
  const T *g;
  T *velocity; // nullptr without momentum
  index count;
  bool first; // the velocity is set, not updated
};
template <class T> struct SgdList {
  const SgdTensor<T> *tensors;
  index size;
  double lr;
  const double *lr_at;
  double momentum, dampening, weight_decay;
  bool nesterov;
};
template <class T> Status sgd(const SgdList<T> &, Stream);

template <class T> struct RmsPropTensor {
  T *p;
  const T *g;
  T *square, *mean, *velocity; // mean: nullptr if not centered; velocity: without momentum
  index count;
};
template <class T> struct RmsPropList {
  const RmsPropTensor<T> *tensors;
  index size;
  double lr;
  const double *lr_at;
  double alpha, eps, weight_decay, momentum;
};
template <class T> Status rmsprop(const RmsPropList<T> &, Stream);

// norm.cuh
template <class T> Status layer_norm(const LayerNorm<T> &, Stream);
template <class T> index layer_norm_grad_space(index count, index width);
template <class T> Status layer_norm_grad(const LayerNormGrad<T> &, void *workspace, Stream);

// embedding.cuh. The table has `rows` rows; places outside read NaN and add to nothing.
template <class T> Status embedding(const Embedding<T> &, index rows, Stream);
// The places in a stable order: place[order[0]] <= place[order[1]] <= ... Its time grows with the
// square of the count: from some thousands on, sort elsewhere.
Status embedding_order(const std::int64_t *place, index count, std::int64_t *order, Stream);
// gw, zeros before, gets the sums; by_frequency divides each by how often its row was used.
template <class T>
Status embedding_grad(const EmbeddingGrad<T> &, index rows, const std::int64_t *order,
                      bool by_frequency, Stream);

} // namespace tinygrad_ai::cuda
