// cuBLASLt counts matrices by columns, ours lie by rows: what it sees is every matrix transposed.
// So it is asked for cᵀ = op(b)ᵀ op(a)ᵀ, with our b as its first operand, and the bias, one number
// for each of our columns, is one for each of its rows, as it wants it.

#include "cublaslt.h"

#include <dlfcn.h>
#include <stdexcept>

// Leaves with the library's error, and with the place where it showed.
#define TRY_LT(call)                                                                               \
  do {                                                                                             \
    if (const int code = (call))                                                                   \
      return Status{code, __FILE__, __LINE__};                                                     \
  } while (false)

#define PASS_LT(status)                                                                            \
  do {                                                                                             \
    if (const Status s = (status); s.code)                                                         \
      return s;                                                                                    \
  } while (false)

namespace tinygrad_ai::cuda {

static void *find(void *library, const std::string &path, const char *name) {
  void *found = dlsym(library, name);
  if (!found)
    throw std::runtime_error(path + " has no " + name);
  return found;
}

CublasLt::CublasLt(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
#define LT_FIND(name, result, arguments)                                                           \
  api.name = reinterpret_cast<decltype(api.name)>(find(library, path, "cublasLt" #name));
  LT_FUNCTIONS(LT_FIND)
#undef LT_FIND
}

CublasLt::~CublasLt() {
  if (handle)
    api.Destroy(handle);
}

Status CublasLt::start() {
  if (!handle)
    TRY_LT(api.Create(&handle));
  return {};
}

static std::uint32_t epilogue(const LtProduct &p) {
  const std::uint32_t bias = p.bias ? lt::EPILOGUE_BIAS : 0;
  switch (p.act) {
  case Act::none: return p.bias ? lt::EPILOGUE_BIAS : lt::EPILOGUE_DEFAULT;
  case Act::relu: return lt::EPILOGUE_RELU | bias;
  case Act::gelu_tanh: return (p.keep ? lt::EPILOGUE_GELU_AUX : lt::EPILOGUE_GELU) | bias;
  default: throw std::invalid_argument("expected an activation that cuBLASLt has: relu, gelu_tanh");
  }
}

static lt::ComputeType compute_type(const LtProduct &p) {
  if (p.type == lt::R_64F)
    return lt::COMPUTE_64F;
  return p.type == lt::R_32F && p.tf32 ? lt::COMPUTE_32F_FAST_TF32 : lt::COMPUTE_32F;
}

static lt::DataType scale_type(const LtProduct &p) {
  return p.type == lt::R_64F ? lt::R_64F : lt::R_32F;
}

Status LtPlan::make(std::shared_ptr<CublasLt> library, const LtProduct &p, const LtArrays &first,
                    std::unique_ptr<LtPlan> *plan) {
  if (p.keep && (p.act != Act::gelu_tanh || p.n % 8))
    throw std::invalid_argument("expected gelu_tanh and n a multiple of 8 where z is kept");
  std::unique_ptr<LtPlan> made(new LtPlan(std::move(library), p));
  bool found = false;
  PASS_LT(made->lib->start());
  PASS_LT(made->describe(first));
  PASS_LT(made->layouts());
  PASS_LT(made->choose(&found));
  if (found)
    *plan = std::move(made);
  return {};
}

LtPlan::~LtPlan() {
  const lt::Api &api = lib->api;
  for (void *layout : {a, b, c})
    if (layout)
      api.MatrixLayoutDestroy(layout);
  if (desc)
    api.MatmulDescDestroy(desc);
}

Status LtPlan::describe(const LtArrays &first) {
  const lt::Api &api = lib->api;
  TRY_LT(api.MatmulDescCreate(&desc, compute_type(p), scale_type(p)));
  const std::int32_t of_b = p.layout == Layout::nt ? lt::OP_T : lt::OP_N;
  const std::int32_t of_a = p.layout == Layout::tn ? lt::OP_T : lt::OP_N;
  const std::uint32_t last = epilogue(p);
  TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_TRANSA, &of_b, sizeof of_b));
  TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_TRANSB, &of_a, sizeof of_a));
  TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_EPILOGUE, &last, sizeof last));
  if (p.keep) {
    const std::int64_t line = p.n;
    TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_EPILOGUE_AUX_LD, &line, sizeof line));
  }
  return point(first);
}

Status LtPlan::layouts() {
  const lt::Api &api = lib->api;
  const auto m = static_cast<std::uint64_t>(p.m), n = static_cast<std::uint64_t>(p.n),
             k = static_cast<std::uint64_t>(p.k);
  // As they lie, by columns: the rows of each are the numbers that lie side by side.
  const std::uint64_t b_rows = p.layout == Layout::nt ? k : n, b_columns = n + k - b_rows;
  const std::uint64_t a_rows = p.layout == Layout::tn ? m : k, a_columns = m + k - a_rows;
  const auto line = [](std::uint64_t rows) { return static_cast<std::int64_t>(rows); };
  TRY_LT(api.MatrixLayoutCreate(&b, p.type, b_rows, b_columns, line(b_rows)));
  TRY_LT(api.MatrixLayoutCreate(&a, p.type, a_rows, a_columns, line(a_rows)));
  TRY_LT(api.MatrixLayoutCreate(&c, p.type, n, m, line(n)));
  return {};
}

Status LtPlan::point(const LtArrays &at) {
  const lt::Api &api = lib->api;
  if (p.bias)
    TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_BIAS_POINTER, &at.bias, sizeof at.bias));
  if (p.keep)
    TRY_LT(api.MatmulDescSetAttribute(desc, lt::DESC_EPILOGUE_AUX_POINTER, &at.z, sizeof at.z));
  return {};
}

Status LtPlan::choose(bool *found) {
  void *preference = nullptr;
  TRY_LT(lib->api.MatmulPreferenceCreate(&preference));
  const Status s = ask(preference, found);
  lib->api.MatmulPreferenceDestroy(preference);
  return s;
}

Status LtPlan::ask(void *preference, bool *found) {
  const lt::Api &api = lib->api;
  TRY_LT(api.MatmulPreferenceSetAttribute(preference, lt::PREF_MAX_WORKSPACE_BYTES, &p.workspace,
                                          sizeof p.workspace));
  for (const auto which : {lt::PREF_MIN_ALIGNMENT_A_BYTES, lt::PREF_MIN_ALIGNMENT_B_BYTES,
                           lt::PREF_MIN_ALIGNMENT_C_BYTES, lt::PREF_MIN_ALIGNMENT_D_BYTES})
    TRY_LT(api.MatmulPreferenceSetAttribute(preference, which, &p.alignment, sizeof p.alignment));
  int count = 0;
  const int code =
      api.MatmulAlgoGetHeuristic(lib->handle, desc, b, a, c, c, preference, 1, &chosen, &count);
  if (code == lt::NOT_SUPPORTED || code == lt::INVALID_VALUE)
    return {}; // an epilogue that this type does not have: no error, the caller has other ways
  TRY_LT(code);
  *found = count > 0 && chosen.state == lt::SUCCESS;
  return {};
}

Status LtPlan::run(const LtArrays &at, void *stream) {
  const float ones[] = {1, 0};
  const double wide[] = {1, 0};
  const bool is_double = p.type == lt::R_64F;
  const void *alpha = is_double ? static_cast<const void *>(wide) : ones;
  const void *beta = is_double ? static_cast<const void *>(wide + 1) : ones + 1;
  PASS_LT(point(at));
  TRY_LT(lib->api.Matmul(lib->handle, desc, alpha, at.b, b, at.a, a, beta, at.c, c, at.c, c,
                         &chosen.algo, at.workspace, p.workspace, stream));
  return {};
}

} // namespace tinygrad_ai::cuda
