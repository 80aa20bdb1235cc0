// A stand-in for libcublasLt: the documented interface, in plain loops on the host's memory. It
// computes what its descriptors say and nothing else, refuses what the documentation forbids, and
// takes its numbers from the documentation, not from our header.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

enum { OK = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum { RELU = 2, BIAS = 4, GELU = 32, AUX = 128 };

struct Desc {
  int compute, scale;
  std::int32_t transposed[2] = {0, 0};
  std::uint32_t epilogue = 1;
  const void *bias = nullptr;
  void *aux = nullptr;
  std::int64_t aux_ld = 0;
};
struct Matrix {
  int type;
  std::uint64_t rows, columns;
  std::int64_t ld;
};
struct Preference {
  std::size_t workspace = 0;
  std::uint32_t alignment[4] = {256, 256, 256, 256};
};
struct Algo {
  std::uint64_t data[8];
};
struct Result {
  Algo algo;
  std::size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

constexpr std::uint64_t chosen_here = 0x7a5e;
constexpr std::size_t workspace_needed = 4096;
bool eats_nan = false;
int live = 0, calls = 0, failure = OK, last_epilogue = 0, last_compute = 0;

float of_half(std::uint16_t h) {
  const int e = h >> 10 & 31, f = h & 1023;
  const float size = e == 31 ? (f ? NAN : INFINITY)
                     : e     ? std::ldexp(1024.f + f, e - 25)
                             : std::ldexp(float(f), -24);
  return h >> 15 ? -size : size;
}
std::uint16_t to_half(double x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x))
    return 0x7e00;
  int e = 0;
  std::frexp(std::fabs(x), &e);
  const int step = e - 11 < -24 ? -24 : e - 11; // of the last bit
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(std::fabs(x), -step)), step);
  if (rounded == 0 || rounded > 65504)
    return sign | (rounded == 0 ? 0 : 0x7c00);
  std::frexp(rounded, &e);
  if (e < -13)
    return sign | std::uint16_t(std::ldexp(rounded, 24));
  return sign | std::uint16_t(((e + 14) << 10) + int(std::ldexp(rounded, 11 - e)) - 1024);
}
double get(const void *at, int type, std::uint64_t i) {
  if (type == R_64F)
    return static_cast<const double *>(at)[i];
  if (type == R_32F)
    return static_cast<const float *>(at)[i];
  const std::uint16_t h = static_cast<const std::uint16_t *>(at)[i];
  if (type == R_16F)
    return of_half(h);
  const std::uint32_t bits = std::uint32_t(h) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
void put(void *at, int type, std::uint64_t i, double x) {
  if (type == R_64F) {
    static_cast<double *>(at)[i] = x;
  } else if (type == R_32F) {
    static_cast<float *>(at)[i] = static_cast<float>(x);
  } else if (type == R_16F) {
    static_cast<std::uint16_t *>(at)[i] = to_half(x);
  } else {
    const float narrow = static_cast<float>(x);
    std::uint32_t bits;
    std::memcpy(&bits, &narrow, 4);
    bits = std::isnan(x) ? 0x7fc00000 : bits + 0x7fff + (bits >> 16 & 1);
    static_cast<std::uint16_t *>(at)[i] = static_cast<std::uint16_t>(bits >> 16);
  }
}

double factor(double x, int compute) { // TF32: 10 bits of mantissa
  if (compute != 77)
    return x;
  int e;
  const double part = std::frexp(x, &e);
  return std::ldexp(std::nearbyint(part * 2048), e - 11);
}

double activated(double x, std::uint32_t epilogue) {
  if (epilogue & RELU)
    return x < 0 || (eats_nan && std::isnan(x)) ? 0 : x;
  if (epilogue & GELU)
    return x / 2 * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  return x;
}

bool consistent(const Desc &d, const Matrix &a, const Matrix &b, const Matrix &c) {
  const std::uint64_t m = d.transposed[0] ? a.columns : a.rows;
  const std::uint64_t k = d.transposed[0] ? a.rows : a.columns;
  const std::uint64_t n = d.transposed[1] ? b.rows : b.columns;
  const std::uint64_t k2 = d.transposed[1] ? b.columns : b.rows;
  const bool wide = a.type == R_64F;
  const bool types =
      a.type == b.type && b.type == c.type && d.scale == (wide ? R_64F : R_32F) &&
      (wide ? d.compute == 70 : d.compute == 68 || (d.compute == 77 && a.type == R_32F));
  const bool aux = !(d.epilogue & AUX) ||
                   (d.aux && d.aux_ld % 8 == 0 && d.aux_ld >= static_cast<std::int64_t>(c.rows));
  return types && aux && m == c.rows && n == c.columns && k == k2;
}

bool aligned(const void *at, std::uint64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(at) % bytes == 0;
}

void compute(const Desc &d, const void *a, const Matrix &la, const void *b, const Matrix &lb,
             void *c, const Matrix &lc) {
  const std::uint64_t inner = d.transposed[0] ? la.rows : la.columns;
  for (std::uint64_t j = 0; j < lc.columns; ++j)
    for (std::uint64_t i = 0; i < lc.rows; ++i) {
      double sum = 0;
      for (std::uint64_t p = 0; p < inner; ++p) {
        const auto at_a = d.transposed[0] ? p + i * la.ld : i + p * la.ld;
        const auto at_b = d.transposed[1] ? j + p * lb.ld : p + j * lb.ld;
        sum += factor(get(a, la.type, at_a), d.compute) * factor(get(b, lb.type, at_b), d.compute);
      }
      if (d.epilogue & BIAS)
        sum += get(d.bias, lc.type, i);
      if (d.epilogue & AUX)
        put(d.aux, lc.type, i + j * d.aux_ld, sum);
      put(c, lc.type, i + j * lc.ld, activated(sum, d.epilogue));
    }
}

template <class T> int make(void **where, T *made) {
  *where = made;
  ++live;
  return OK;
}
template <class T> int end(void *at) {
  delete static_cast<T *>(at);
  --live;
  return OK;
}
template <class T> int set(T *to, const void *value, std::size_t bytes) {
  if (bytes != sizeof(T))
    return INVALID_VALUE;
  std::memcpy(to, value, bytes);
  return OK;
}

} // namespace

extern "C" {

int fake_live() { return live; }
int fake_calls() { return calls; }
int fake_epilogue() { return last_epilogue; }
int fake_compute() { return last_compute; }
void fake_fail(int code) { failure = code; }
void fake_eat_nan(bool eat) { eats_nan = eat; }

int cublasLtCreate(void **handle) { return make(handle, new int(1)); }
int cublasLtDestroy(void *handle) { return end<int>(handle); }
std::size_t cublasLtGetVersion() { return 130100; }
const char *cublasLtGetStatusName(int code) {
  return code == EXECUTION_FAILED ? "CUBLAS_STATUS_EXECUTION_FAILED" : "CUBLAS_STATUS_OTHER";
}
const char *cublasLtGetStatusString(int) { return "the stand-in was told to fail"; }

int cublasLtMatmulDescCreate(void **desc, int compute, int scale) {
  return make(desc, new Desc{compute, scale});
}
int cublasLtMatmulDescDestroy(void *desc) { return end<Desc>(desc); }
int cublasLtMatmulDescSetAttribute(void *desc, int name, const void *value, std::size_t bytes) {
  Desc &d = *static_cast<Desc *>(desc);
  switch (name) {
  case 3: return set(&d.transposed[0], value, bytes);
  case 4: return set(&d.transposed[1], value, bytes);
  case 7: return set(&d.epilogue, value, bytes);
  case 8: return set(&d.bias, value, bytes);
  case 11: return set(&d.aux, value, bytes);
  case 12: return set(&d.aux_ld, value, bytes);
  }
  return INVALID_VALUE;
}

int cublasLtMatrixLayoutCreate(void **layout, int type, std::uint64_t rows, std::uint64_t columns,
                               std::int64_t ld) {
  if (ld < static_cast<std::int64_t>(rows))
    return INVALID_VALUE;
  return make(layout, new Matrix{type, rows, columns, ld});
}
int cublasLtMatrixLayoutDestroy(void *layout) { return end<Matrix>(layout); }

int cublasLtMatmulPreferenceCreate(void **preference) { return make(preference, new Preference); }
int cublasLtMatmulPreferenceDestroy(void *preference) { return end<Preference>(preference); }
int cublasLtMatmulPreferenceSetAttribute(void *preference, int name, const void *value,
                                         std::size_t bytes) {
  Preference &p = *static_cast<Preference *>(preference);
  if (name == 1)
    return set(&p.workspace, value, bytes);
  return name >= 5 && name <= 8 ? set(&p.alignment[name - 5], value, bytes) : INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                   void *preference, int asked, Result results[], int *found) {
  const Desc &how = *static_cast<Desc *>(desc);
  const Matrix &of_c = *static_cast<Matrix *>(c);
  const Preference &p = *static_cast<Preference *>(preference);
  *found = 0;
  if (!handle || asked < 1 || d != c ||
      !consistent(how, *static_cast<Matrix *>(a), *static_cast<Matrix *>(b), of_c))
    return INVALID_VALUE;
  if (of_c.type == R_64F && how.epilogue & GELU)
    return NOT_SUPPORTED; // as the library may answer, whichever types it is for
  if (p.workspace < workspace_needed)
    return OK; // no kernel that makes do with so little
  results[0] = {};
  results[0].algo.data[0] = chosen_here;
  std::memcpy(&results[0].algo.data[1], p.alignment, sizeof p.alignment);
  results[0].workspace = workspace_needed;
  *found = 1;
  return OK;
}

int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                   const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                   void *d, void *d_layout, const Algo *algo, void *workspace, std::size_t bytes,
                   void *) {
  const Desc &how = *static_cast<Desc *>(desc);
  const Matrix &la = *static_cast<Matrix *>(a_layout), &lb = *static_cast<Matrix *>(b_layout),
               &lc = *static_cast<Matrix *>(d_layout);
  std::uint32_t promised[4];
  std::memcpy(promised, &algo->data[1], sizeof promised);
  if (failure)
    return failure;
  const bool scales = get(alpha, how.scale, 0) == 1 && get(beta, how.scale, 0) == 0;
  const bool places = aligned(a, promised[0]) && aligned(b, promised[1]) &&
                      aligned(c, promised[2]) && aligned(d, promised[3]);
  if (!handle || algo->data[0] != chosen_here || !workspace || bytes < workspace_needed || c != d ||
      c_layout != d_layout || !scales || !places || !consistent(how, la, lb, lc) ||
      (how.epilogue & BIAS && !how.bias))
    return INVALID_VALUE;
  compute(how, a, la, b, lb, d, lc);
  last_epilogue = static_cast<int>(how.epilogue), last_compute = how.compute;
  ++calls;
  return OK;
}
}
