// All kernels, compiled once for each instruction set: ISA and VEC_BYTES come from setup.py.

#include "attention.h"
#include "ceiling.h"
#include "embedding.h"
#include "norm.h"
#include "optim.h"
#include "products.h"
#include "rows.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

namespace tinygrad_ai::ISA {

template <class T> constexpr Kernels<T> kernels() {
  return {product_space<T>,
          product<T>,
          activate<T>,
          act_grad<T>,
          cross_entropy<T>,
          cross_entropy_grad<T>,
          softmax<T>,
          log_softmax<T>,
          adam<T>,
          sgd<T>,
          rmsprop<T>,
          softmax_grad<T>,
          log_softmax_grad<T>,
          layer_norm<T>,
          layer_norm_space<T>,
          layer_norm_grad<T>,
          embedding<T>,
          embedding_grad<T>,
          dropout<T>,
          products_space<T>,
          products<T>,
          attention_space<T>,
          attention<T>,
          attention_grad<T>,
          multiply_add<T>,
          stream<T>};
}

extern const Table table;
const Table table{TEXT(ISA), kernels<float>(), kernels<double>()};

} // namespace tinygrad_ai::ISA
