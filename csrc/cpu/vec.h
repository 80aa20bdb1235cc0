// Vectors of numbers in the width of the instruction set this file is compiled for, and the
// elementary functions on them. GCC's and Clang's vector types: no intrinsics.
//
// ISA names the instruction set, VEC_BYTES its width. Everything lives in a namespace of that name,
// and no inline function of the standard library is called: the linker would keep one copy of it
// for all instruction sets.

#pragma once

#include <cstddef>
#include <cstdint>

#include "../table.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

namespace tinygrad_ai::ISA {

template <class T> struct Vec;
template <> struct Vec<float> {
  typedef float type __attribute__((vector_size(VEC_BYTES)));
  typedef std::int32_t bits __attribute__((vector_size(VEC_BYTES)));
  static constexpr int width = VEC_BYTES / 4;
};
template <> struct Vec<double> {
  typedef double type __attribute__((vector_size(VEC_BYTES)));
  typedef std::int64_t bits __attribute__((vector_size(VEC_BYTES)));
  static constexpr int width = VEC_BYTES / 8;
};
using vfloat = Vec<float>::type;
using vdouble = Vec<double>::type;

template <class V> struct Of; // the numbers in a vector, and the integers of their size
template <> struct Of<vfloat> {
  using real = float;
  using bits = Vec<float>::bits;
};
template <> struct Of<vdouble> {
  using real = double;
  using bits = Vec<double>::bits;
};
template <class V> ALWAYS_INLINE constexpr typename Of<V>::real real_of(double x) {
  return static_cast<typename Of<V>::real>(x);
}

template <class T> ALWAYS_INLINE index smaller(T a, T b) { return a < b ? a : b; }

ALWAYS_INLINE float root(float x) { return __builtin_sqrtf(x); }
ALWAYS_INLINE double root(double x) { return __builtin_sqrt(x); }

template <class V, class T> ALWAYS_INLINE V load(const T *p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T> ALWAYS_INLINE void store(T *p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// n numbers, fewer than 2 `step`, in pieces of constant size.
template <int step, class T> ALWAYS_INLINE void copy_part(T *to, const T *from, index n) {
  const bool piece = n & step;
  if (piece)
    __builtin_memcpy(to, from, step * sizeof(T));
  if constexpr (step > 1)
    copy_part<step / 2>(to + piece * step, from + piece * step, n);
}

// The first n numbers; the rest of the vector is `fill`.
template <class V, class T> ALWAYS_INLINE V load_part(const T *p, index n, T fill) {
  alignas(V) T part[sizeof(V) / sizeof(T)];
  store(part, V{} + fill);
  copy_part<sizeof(V) / sizeof(T)>(part, p, n);
  return load<V>(part);
}
template <class V, class T> ALWAYS_INLINE void store_part(T *p, V v, index n) {
  alignas(V) T part[sizeof(V) / sizeof(T)];
  store(part, v);
  copy_part<sizeof(V) / sizeof(T)>(p, part, n);
}

// A row is walked in whole vectors and one part: f(size, i) is called with either as `size`, and
// passes it to get and put. The rest of a part reads as `fill`.
struct Whole {};
struct Part {
  index n;
};
template <class V, class T> ALWAYS_INLINE V get(const T *p, Whole, T = 0) { return load<V>(p); }
template <class V, class T> ALWAYS_INLINE V get(const T *p, Part s, T fill = 0) {
  return load_part<V>(p, s.n, fill);
}
template <class V, class T> ALWAYS_INLINE void put(T *p, V v, Whole) { store(p, v); }
template <class V, class T> ALWAYS_INLINE void put(T *p, V v, Part s) { store_part(p, v, s.n); }

template <class T, class F> ALWAYS_INLINE void over(index n, const F &f) {
  constexpr index w = Vec<T>::width;
  index i = 0;
  for (; i + w <= n; i += w)
    f(Whole{}, i);
  if (i < n)
    f(Part{n - i}, i);
}

template <class M, class V> ALWAYS_INLINE V select(M condition, V yes, V no) {
  return condition ? yes : no;
}

template <class V> ALWAYS_INLINE typename Of<V>::bits as_bits(V v) {
  typename Of<V>::bits b;
  __builtin_memcpy(&b, &v, sizeof b);
  return b;
}
template <class V> ALWAYS_INLINE V from_bits(typename Of<V>::bits b) {
  V v;
  __builtin_memcpy(&v, &b, sizeof v);
  return v;
}

template <class V> ALWAYS_INLINE V size_of(V v) { // |v|: the bit of its sign cleared
  return from_bits<V>(as_bits(v) & ~as_bits(-V{}));
}

// a0 b0 a1 b1 ... of the lower halves, and of the upper ones.
template <class V> ALWAYS_INLINE V zip_low(V a, V b) {
  constexpr int w = sizeof(V) / sizeof(a[0]);
  typename Of<V>::bits m{};
  UNROLL for (int i = 0; i < w; ++i) m[i] = i / 2 + (i % 2) * w;
  return __builtin_shuffle(a, b, m);
}
template <class V> ALWAYS_INLINE V zip_high(V a, V b) {
  constexpr int w = sizeof(V) / sizeof(a[0]);
  typename Of<V>::bits m{};
  UNROLL for (int i = 0; i < w; ++i) m[i] = w / 2 + i / 2 + (i % 2) * w;
  return __builtin_shuffle(a, b, m);
}

// The matrix in r[0..w) transposed: zipping rows i and i + w/2, log2 w times.
template <class V> ALWAYS_INLINE void transpose(V *r) {
  constexpr int w = sizeof(V) / sizeof(r[0][0]);
  V s[w];
  UNROLL for (int step = 1; step < w; step *= 2) {
    UNROLL for (int i = 0; i < w / 2; ++i) {
      s[2 * i] = zip_low(r[i], r[i + w / 2]);
      s[2 * i + 1] = zip_high(r[i], r[i + w / 2]);
    }
    UNROLL for (int i = 0; i < w; ++i) r[i] = s[i];
  }
}

// One number from each of the w vectors in r, each at its own place: halves put together by f.
template <class V, class F> ALWAYS_INLINE V fold_each(V *r, const F &f) {
  constexpr int w = sizeof(V) / sizeof(r[0][0]);
  UNROLL for (int half = w / 2; half > 0; half /= 2) {
    UNROLL for (int i = 0; i < half; ++i) {
      r[i] = f(zip_low(r[i], r[i + half]), zip_high(r[i], r[i + half]));
    }
  }
  return r[0];
}
template <class V> ALWAYS_INLINE V sums(V *r) {
  return fold_each(r, [](V a, V b) { return a + b; });
}
template <class V> ALWAYS_INLINE V maxima(V *r) {
  return fold_each(r, [](V a, V b) { return select(b > a, b, a); });
}

// One number from all in v: both halves put together by f, log2 w times.
template <class V, class F> ALWAYS_INLINE typename Of<V>::real fold(V v, const F &f) {
  constexpr int w = sizeof(V) / sizeof(v[0]);
  UNROLL for (int half = w / 2; half > 0; half /= 2) {
    typename Of<V>::bits other{};
    UNROLL for (int i = 0; i < w; ++i) other[i] = i ^ half;
    v = f(v, __builtin_shuffle(v, other));
  }
  return v[0];
}
template <class V> ALWAYS_INLINE typename Of<V>::real sum_of(V v) {
  return fold(v, [](V a, V b) { return a + b; });
}
template <class V> ALWAYS_INLINE typename Of<V>::real max_of(V v) {
  return fold(v, [](V a, V b) { return select(b > a, b, a); });
}

// The sum of f(size, i) along a row.
template <class T, class F> ALWAYS_INLINE T sum_over(index n, const F &f) {
  using V = typename Vec<T>::type;
  constexpr index w = Vec<T>::width;
  V a{}, b{}, c{}, d{}; // four sums: an addition takes as long as four loads
  index i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    a += f(Whole{}, i);
    b += f(Whole{}, i + w);
    c += f(Whole{}, i + 2 * w);
    d += f(Whole{}, i + 3 * w);
  }
  for (; i + w <= n; i += w)
    a += f(Whole{}, i);
  if (i < n)
    b += f(Part{n - i}, i);
  return sum_of((a + b) + (c + d));
}

template <class V> struct Exp;
template <> struct Exp<vfloat> {
  static constexpr float shift = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float low = -104.0f, high = 88.8f, normal = -87.3f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr int bias = 127, mantissa = 23;
  static constexpr double taylor[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                      4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
};
template <> struct Exp<vdouble> {
  static constexpr double shift = 6755399441055744.0; // 1.5 * 2^52
  static constexpr double low = -746.0, high = 709.9, normal = -708.3;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr int bias = 1023, mantissa = 52;
  static constexpr double taylor[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
};

// x = n ln 2 + r with |r| <= ln 2 / 2: eʳ by a polynomial, and n in the low bits of `power`.
template <class V> struct Reduced {
  V value;
  typename Of<V>::bits power;
};
template <class V> ALWAYS_INLINE Reduced<V> reduced(V x) {
  using E = Exp<V>;
  using R = typename Of<V>::real;
  V shifted = x * real_of<V>(1.44269504088896340736) + E::shift;
  V n = shifted - E::shift;
  V r = x - n * E::ln2_high - n * E::ln2_low;
  V p = V{} + R(E::taylor[0]);
  constexpr unsigned terms = sizeof E::taylor / sizeof(double);
  UNROLL for (unsigned i = 1; i < terms; ++i) p = p * r + R(E::taylor[i]);
  return {p * (r * r) + (r + 1), as_bits(shifted)};
}

// eˣ = 2ⁿ eʳ. NaN stays NaN.
template <class V> ALWAYS_INLINE V exp_of(V x) {
  using E = Exp<V>;
  x = select(x > E::high, V{} + E::high, x);
  x = select(x < E::low, V{} + E::low, x);
  Reduced<V> e = reduced(x);
  auto power = e.power - as_bits(V{} + E::shift);
  auto half = power >> 1; // in two steps: 2ⁿ itself may be too large or too small
  V first = from_bits<V>((half + E::bias) << E::mantissa);
  V second = from_bits<V>((power - half + E::bias) << E::mantissa);
  return e.value * first * second;
}

// eˣ in fewer steps, where x is not far above 0 (inf gives NaN): 0 below the least normal number.
template <class V> ALWAYS_INLINE V exp_down(V x) {
  using E = Exp<V>;
  Reduced<V> e = reduced(x);
  auto one = typename Of<V>::bits{} + E::bias;
  V y = e.value * from_bits<V>((e.power + one) << E::mantissa); // the bits of `shift` fall out
  return select(x < E::normal, V{}, y);
}

// Cephes' polynomial near 0, where 1 - 2 / (e²ˣ + 1) loses digits.
ALWAYS_INLINE vfloat tanh_near_0(vfloat x) {
  vfloat z = x * x;
  vfloat p = vfloat{} - 5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  return x + x * z * p;
}
ALWAYS_INLINE vdouble tanh_near_0(vdouble x) {
  vdouble z = x * x;
  vdouble p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z;
  p = p - 1.61468768441708447952e3;
  vdouble q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z;
  q = q + 4.84406305325125486048e3;
  return x + x * z * (p / q);
}
template <class V> ALWAYS_INLINE V tanh_of(V x) {
  V size = size_of(x);
  V far = 1 - 2 / (exp_of(size + size) + 1);
  return select(size < real_of<V>(0.625), tanh_near_0(x), select(x < 0, -far, far));
}

// Numerical Recipes' erfcc: a relative error of 1.2e-7 everywhere, so that 1 + erf loses no digits.
ALWAYS_INLINE vfloat erfc_of(vfloat x) {
  vfloat size = size_of(x);
  vfloat t = 1 / (1 + 0.5f * size);
  vfloat p = vfloat{} + 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  vfloat y = t * exp_down(p * t - size * size - 1.26551223f);
  return select(x < 0, 2 - y, y);
}
ALWAYS_INLINE vdouble erfc_of(vdouble x) {
  UNROLL for (int i = 0; i < Vec<double>::width; ++i) x[i] = __builtin_erfc(x[i]);
  return x;
}

#include "../activation.h"

} // namespace tinygrad_ai::ISA
