// The launchers as a shared library that runs under the simulator: an int for each call, 0 or an
// error whose text `last_error` gives. Structs are passed by address.

#include "../../csrc/cuda/kernels.cu"

#include <exception>
#include <string>

using namespace tinygrad_ai;

static std::string message;
template <class F> static int call(const F &f) {
  try {
    return f();
  } catch (const std::exception &e) {
    message = e.what();
    return -1;
  }
}

extern "C" const char *last_error() { return message.c_str(); }

#define ONE(name, Struct, T, suffix)                                                               \
  extern "C" int name##_##suffix(const Struct<T> *s) {                                             \
    return call([&] { return cuda::name(*s, nullptr); });                                          \
  }
#define WITH_SPACE(name, Struct, T, suffix)                                                        \
  extern "C" int name##_##suffix(const Struct<T> *s, void *workspace) {                            \
    return call([&] { return cuda::name(*s, workspace, nullptr); });                               \
  }
#define BOTH(form, name, Struct) form(name, Struct, float, f32) form(name, Struct, double, f64)

BOTH(ONE, softmax, Rows)
BOTH(ONE, log_softmax, Rows)
BOTH(ONE, softmax_grad, RowsGrad)
BOTH(ONE, log_softmax_grad, RowsGrad)
BOTH(ONE, cross_entropy, CrossEntropy)
BOTH(WITH_SPACE, cross_entropy_grad, CrossEntropyGrad)
BOTH(ONE, activate, Elements)
BOTH(ONE, activate_grad, Elements)
BOTH(ONE, dropout, Dropout)
BOTH(ONE, adam, cuda::AdamList)
BOTH(ONE, sgd, cuda::SgdList)
BOTH(ONE, rmsprop, cuda::RmsPropList)
BOTH(ONE, layer_norm, LayerNorm)
BOTH(WITH_SPACE, layer_norm_grad, LayerNormGrad)

#define EMBEDDINGS(T, suffix)                                                                      \
  extern "C" int embedding_##suffix(const Embedding<T> *s, tinygrad_ai::index rows) {              \
    return call([&] { return cuda::embedding(*s, rows, nullptr); });                               \
  }                                                                                                \
  extern "C" int embedding_grad_##suffix(const EmbeddingGrad<T> *s, tinygrad_ai::index rows,       \
                                         const std::int64_t *order, bool by_frequency) {           \
    return call([&] { return cuda::embedding_grad(*s, rows, order, by_frequency, nullptr); });     \
  }
EMBEDDINGS(float, f32)
EMBEDDINGS(double, f64)

extern "C" int embedding_order(const std::int64_t *place, tinygrad_ai::index count,
                               std::int64_t *order) {
  return call([&] { return cuda::embedding_order(place, count, order, nullptr); });
}
