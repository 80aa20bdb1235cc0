// Launcher of hopper.cuh.

#include <cstring>

#include "hopper.cuh"
#include "launch.cuh"

namespace tinygrad_ai::cuda {

// cuTensorMapEncodeTiled is the driver's; asked for through the runtime, nothing links to it.
using Encode = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                            const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                            const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                            CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

static Status find_encode(Encode *encode) {
  cudaDriverEntryPointQueryResult found;
  void *function = nullptr;
  TRY(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                       cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess)
    TRY(cudaErrorNotSupported);
  *encode = reinterpret_cast<Encode>(function);
  return {};
}

// A (rows, k) matrix, to be copied `box` rows by BK steps at a time.
static Status describe(Encode encode, CUtensorMap *map, const bf16 *at, index rows, index k,
                       unsigned box) {
  const cuuint64_t size[2] = {static_cast<cuuint64_t>(k), static_cast<cuuint64_t>(rows)};
  const cuuint64_t line[1] = {static_cast<cuuint64_t>(k) * sizeof(bf16)};
  const cuuint32_t tile[2] = {HopperTile::BK, box}, step[2] = {1, 1};
  const CUresult result =
      encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<bf16 *>(at), size, line, tile,
             step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    TRY(cudaErrorInvalidValue);
  return {};
}

static Status is_hopper(bool *is) {
  int device = 0, major = 0, minor = 0;
  TRY(cudaGetDevice(&device));
  TRY(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  TRY(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  *is = major == 9 && minor == 0 && std::strstr(ARCHS, "90a");
  return {};
}

// x, w: lines of whole 16 bytes, beginning on one. What it cannot do, tensor_core can.
Status hopper(const LinearProduct<bf16> &p, void *stream) {
  using S = HopperTile;
  if (p.m == 0 || p.n == 0)
    return {};
  const auto places =
      reinterpret_cast<unsigned long long>(p.a) | reinterpret_cast<unsigned long long>(p.b);
  const index blocks = pieces(p.m, S::BM) * pieces(p.n, S::BN);
  if (p.layout != Layout::nt || p.k == 0 || p.k % 8 || places % 16 || blocks > most ||
      too_large(p.m, p.n, p.k))
    TRY(cudaErrorInvalidValue);
  bool here = false;
  PASS(is_hopper(&here));
  if (!here)
    TRY(cudaErrorNotSupported);
  Encode encode = nullptr;
  CUtensorMap x, w;
  PASS(find_encode(&encode));
  PASS(describe(encode, &x, p.a, p.m, p.k, S::BM));
  PASS(describe(encode, &w, p.b, p.n, p.k, S::BN));
  auto kernel = hopper_kernel;
  TRY(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, S::bytes));
  LAUNCH(kernel, dim3(static_cast<unsigned>(blocks)), dim3(S::threads), S::bytes,
         static_cast<cudaStream_t>(stream), x, w, p);
  TRY(cudaGetLastError());
  return {};
}

} // namespace tinygrad_ai::cuda
