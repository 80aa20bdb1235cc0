// The little of cuBLASLt's public C interface that we use, so that neither its header nor its
// library need be there when this is built. Names follow cublasLt.h without their prefix; a test
// compares the values with that header where it is installed.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tinygrad_ai::cuda::lt {

enum DataType : int { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 }; // cudaDataType
enum ComputeType : int { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
enum Operation : int { OP_N = 0, OP_T = 1 };
enum StatusCode : int { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };

enum DescAttribute : int { // cublasLtMatmulDescAttributes_t
  DESC_TRANSA = 3,
  DESC_TRANSB = 4,
  DESC_EPILOGUE = 7,
  DESC_BIAS_POINTER = 8,
  DESC_EPILOGUE_AUX_POINTER = 11,
  DESC_EPILOGUE_AUX_LD = 12
};

enum Epilogue : std::uint32_t { // their bits are meant to be combined
  EPILOGUE_DEFAULT = 1,
  EPILOGUE_RELU = 2,
  EPILOGUE_BIAS = 4,
  EPILOGUE_RELU_BIAS = 6,
  EPILOGUE_GELU = 32, // the tanh approximation
  EPILOGUE_GELU_BIAS = 36,
  EPILOGUE_GELU_AUX = 160,
  EPILOGUE_GELU_AUX_BIAS = 164
};

enum PreferenceAttribute : int { // cublasLtMatmulPreferenceAttributes_t
  PREF_MAX_WORKSPACE_BYTES = 1,
  PREF_MIN_ALIGNMENT_A_BYTES = 5,
  PREF_MIN_ALIGNMENT_B_BYTES = 6,
  PREF_MIN_ALIGNMENT_C_BYTES = 7,
  PREF_MIN_ALIGNMENT_D_BYTES = 8
};

struct Algo {
  std::uint64_t data[8];
};

struct HeuristicResult {
  Algo algo;
  std::size_t workspace; // bytes
  int state;             // of no meaning here unless it is SUCCESS
  float waves;
  int reserved[4];
};

// Handles and descriptors are opaque pointers.
#define LT_FUNCTIONS(X)                                                                            \
  X(Create, int, (void **handle))                                                                  \
  X(Destroy, int, (void *handle))                                                                  \
  X(GetVersion, std::size_t, ())                                                                   \
  X(GetStatusName, const char *, (int status))                                                     \
  X(GetStatusString, const char *, (int status))                                                   \
  X(MatmulDescCreate, int, (void **desc, int compute, int scale))                                  \
  X(MatmulDescDestroy, int, (void *desc))                                                          \
  X(MatmulDescSetAttribute, int, (void *desc, int name, const void *value, std::size_t bytes))     \
  X(MatrixLayoutCreate, int,                                                                       \
    (void **layout, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t ld))         \
  X(MatrixLayoutDestroy, int, (void *layout))                                                      \
  X(MatmulPreferenceCreate, int, (void **preference))                                              \
  X(MatmulPreferenceDestroy, int, (void *preference))                                              \
  X(MatmulPreferenceSetAttribute, int,                                                             \
    (void *preference, int name, const void *value, std::size_t bytes))                            \
  X(MatmulAlgoGetHeuristic, int,                                                                   \
    (void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int asked,    \
     HeuristicResult *results, int *found))                                                        \
  X(Matmul, int,                                                                                   \
    (void *handle, void *desc, const void *alpha, const void *a, void *a_layout, const void *b,    \
     void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,     \
     const Algo *algo, void *workspace, std::size_t bytes, void *stream))

struct Api { // the functions of a library that was opened
#define LT_MEMBER(name, result, arguments) result(*name) arguments = nullptr;
  LT_FUNCTIONS(LT_MEMBER)
#undef LT_MEMBER
};

} // namespace tinygrad_ai::cuda::lt
