// Matrix products by NVIDIA's cuBLASLt, with the bias and the activation in the same kernel: the
// alternative to our own. The library is opened when the program runs; nothing is linked to it.

#pragma once

#include <memory>
#include <string>

#include "cublaslt_api.h"
#include "linear.h"

namespace tinygrad_ai::cuda {

// A library that was opened, and a handle for the device that was current then. It stays open until
// the process ends: kernels of it may still run.
class CublasLt {
public:
  // A library that cannot be opened, or lacks a function, throws std::runtime_error.
  explicit CublasLt(const std::string &path);
  ~CublasLt();
  CublasLt(const CublasLt &) = delete;
  CublasLt &operator=(const CublasLt &) = delete;

  Status start(); // makes the handle; asks for a device
  std::size_t version() const { return api.GetVersion(); }

  lt::Api api;
  void *handle = nullptr;
};

// What a product is, without where its matrices lie: see LinearProduct. act is none, relu or
// gelu_tanh; z is kept with gelu_tanh only, and n is a multiple of 8 then.
struct LtProduct {
  Layout layout;
  lt::DataType type;
  bool tf32; // float32 may be rounded to TF32
  index m, n, k;
  bool bias, keep;
  Act act;
  std::uint32_t alignment; // of all addresses, in bytes: a power of 2, 256 at most
  std::size_t workspace;   // bytes there will be
};

struct LtArrays {
  const void *a, *b, *bias;
  void *c, *z, *workspace;
};

// The descriptors of a product and the kernel that the library chose for it. run() allocates
// nothing and may be captured into a graph. Not for two threads at a time.
class LtPlan {
public:
  // *plan stays empty if the library has no kernel for this product.
  static Status make(std::shared_ptr<CublasLt>, const LtProduct &, const LtArrays &first,
                     std::unique_ptr<LtPlan> *plan);
  ~LtPlan();
  LtPlan(const LtPlan &) = delete;
  LtPlan &operator=(const LtPlan &) = delete;

  Status run(const LtArrays &, void *stream);
  const CublasLt &library() const { return *lib; }

private:
  LtPlan(std::shared_ptr<CublasLt> library, const LtProduct &product)
      : lib(std::move(library)), p(product) {}
  Status describe(const LtArrays &);
  Status layouts();
  Status point(const LtArrays &);
  Status choose(bool *found);
  Status ask(void *preference, bool *found);

  std::shared_ptr<CublasLt> lib;
  LtProduct p;
  void *desc = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
  lt::HeuristicResult chosen{};
};

} // namespace tinygrad_ai::cuda
