// The launchers of attention as a shared library that runs under the simulator: an int for each
// call, 0 or an error whose text `last_error` gives. Structs are passed by address.

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

BOTH(ONE, attention, Attention)
BOTH(WITH_SPACE, attention_grad, AttentionGrad)
