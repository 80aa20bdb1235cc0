// The CUDA kernels as plain functions: a struct of pointers to device memory and sizes, a stream,
// and the status of the launch (0, or a cudaError_t). They allocate nothing and wait for nothing.
//
// The structs are those of the CPU's kernels (../table.h). What is more here: scratch memory is
// passed in, its bytes told by a *_space function; and numbers that change from step to step (a
// seed, an offset, a learning rate, a step) are read from device memory, so that a captured graph
// sees them change. All sums are made in an order that depends only on sizes.

#pragma once

#include "../table.h"

namespace tinygrad_ai::cuda {

using Stream = void *; // a cudaStream_t

// rows.cuh. A label that is neither `ignore` nor a class gives NaN: nobody waits to report it.
template <class T> int softmax(const Rows<T> &, Stream);
template <class T> int log_softmax(const Rows<T> &, Stream);
template <class T> int softmax_grad(const RowsGrad<T> &, Stream);
template <class T> int log_softmax_grad(const RowsGrad<T> &, Stream);
template <class T> int cross_entropy(const CrossEntropy<T> &, Stream);
std::size_t cross_entropy_grad_space();
template <class T> int cross_entropy_grad(const CrossEntropyGrad<T> &, void *workspace, Stream);

// elementwise.cuh
template <class T> int activate(const Elements<T> &, Stream);
template <class T> int activate_grad(const Elements<T> &, Stream); // y = g f'(x)
template <class T> int dropout(const Dropout<T> &, Stream);

// philox.cuh. Random numbers are a function of (seed, offset, place); a draw of `count` numbers
// uses up random_blocks(count) of the offset, and `advance` moves it on.
struct Random {
  const std::uint64_t *seed, *offset; // device scalars
};
index random_blocks(index count);
template <class T> int uniform(const Random &, T *y, index count, Stream); // in [0, 1)
int dropout_mask(const Random &, unsigned char *keep, index count, double drop, Stream);
// counters[i] += by: an offset, or the steps of an optimizer.
int advance(std::uint64_t *counters, index count, std::uint64_t by, Stream);

// optim.cuh. Lists of tensors live in the host's memory and are read before the call returns.
template <class T> struct AdamTensor {
  T *p;
  const T *g;
  T *m, *v, *v_max; // v_max: all of the list's, or nullptr in all
  index count;
};
template <class T> struct AdamList {
  const AdamTensor<T> *tensors;
  index size;
  const double *lr;         // device scalar
  const std::int64_t *step; // device: how many steps there were with this one
  index step_stride;        // 1: a step for each tensor; 0: one for all
  double beta1, beta2, eps, weight_decay;
  bool decoupled;
};
template <class T> int adam(const AdamList<T> &, Stream);

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
  const double *lr; // device scalar
  double momentum, dampening, weight_decay;
  bool nesterov;
};
template <class T> int sgd(const SgdList<T> &, Stream);

template <class T> struct RmsPropTensor {
  T *p;
  const T *g;
  T *square, *mean, *velocity; // mean: nullptr if not centered; velocity: without momentum
  index count;
};
template <class T> struct RmsPropList {
  const RmsPropTensor<T> *tensors;
  index size;
  const double *lr; // device scalar
  double alpha, eps, weight_decay, momentum;
};
template <class T> int rmsprop(const RmsPropList<T> &, Stream);

// norm.cuh
template <class T> int layer_norm(const LayerNorm<T> &, Stream);
template <class T> std::size_t layer_norm_grad_space(const LayerNormGrad<T> &);
template <class T> int layer_norm_grad(const LayerNormGrad<T> &, void *workspace, Stream);

// embedding.cuh. The table has `rows` rows; places outside read NaN and add to nothing.
template <class T> int embedding(const Embedding<T> &, index rows, Stream);
// The places in a stable order: place[order[0]] <= place[order[1]] <= ... Its time grows with the
// square of the count: from about a hundred thousand on, sort elsewhere.
int embedding_order(const std::int64_t *place, index count, std::int64_t *order, Stream);
// gw, zeros before, gets the sums; by_frequency divides each by how often its row was used.
template <class T>
int embedding_grad(const EmbeddingGrad<T> &, index rows, const std::int64_t *order,
                   bool by_frequency, Stream);

} // namespace tinygrad_ai::cuda
