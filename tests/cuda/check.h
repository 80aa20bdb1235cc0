// What the programs that run kernels share: arrays of exact size that begin off their alignment,
// random numbers, and a comparison with numbers in double precision. The programs run kernels under
// the simulator; built by nvcc (-x cu), they run the same checks on a GPU.

#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <sys/mman.h>

namespace check {

#ifdef __CUDACC__ // memory that both sides see, and the end of a launch
inline void *allocate(std::size_t bytes) {
  void *p = nullptr;
  if (cudaMallocManaged(&p, bytes) != cudaSuccess)
    throw std::bad_alloc();
  return p;
}
inline void release(void *p) { cudaFree(p); }
inline int finished() { return static_cast<int>(cudaDeviceSynchronize()); }
#else
inline void *allocate(std::size_t bytes) { return std::malloc(bytes); }
inline void release(void *p) { std::free(p); }
inline int finished() { return 0; }
#endif

// Making a thread costs the thread sanitizer more than running it: it is given fewer sizes.
#ifdef __SANITIZE_THREAD__
constexpr bool few = true;
#else
constexpr bool few = false;
#endif

inline int failures = 0;
inline std::mt19937 &generator() {
  static std::mt19937 g(7);
  return g;
}

// n elements, the last of which is the last of its memory; the first is not at 8 or 16 bytes, if
// not one less is skipped.
template <class T> class Array {
public:
  explicit Array(long n, T fill = T{}, long skip = 1)
      : n_(n), skip_(skip), at_(static_cast<T *>(allocate((n + skip) * sizeof(T)))) {
    for (long i = 0; i < n + skip; ++i)
      at_[i] = fill;
  }
  Array(const Array &) = delete;
  ~Array() { release(at_); }
  T *data() { return at_ + skip_; }
  operator T *() { return at_ + skip_; }
  long size() const { return n_; }
  T &operator[](long i) { return at_[skip_ + i]; }

private:
  long n_, skip_;
  T *at_;
};

// More than 2^31 elements, of which only those that are touched take memory.
template <class T> class Far {
public:
  explicit Far(long n) : bytes_(n * sizeof(T)) {
#ifdef __CUDACC__
    void *p = allocate(bytes_);
#else
    void *p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
      throw std::bad_alloc();
#endif
    at_ = static_cast<T *>(p);
  }
  Far(const Far &) = delete;
  ~Far() {
#ifdef __CUDACC__
    release(at_);
#else
    munmap(at_, bytes_);
#endif
  }
  operator T *() { return at_; }
  T &operator[](long i) { return at_[i]; }

private:
  std::size_t bytes_;
  T *at_;
};

template <class T> void normal(Array<T> &a, double scale = 1) {
  std::normal_distribution<double> d(0, scale);
  for (long i = 0; i < a.size(); ++i)
    a[i] = static_cast<T>(d(generator()));
}
inline void labels(Array<long> &a, long most) {
  for (long i = 0; i < a.size(); ++i)
    a[i] = static_cast<long>(generator()() % static_cast<unsigned long>(most));
}

inline bool near(double got, double want, double tolerance) {
  if (std::isnan(want) || std::isinf(want))
    return std::isnan(want) ? std::isnan(got) : got == want;
  return std::fabs(got - want) <= tolerance * (1 + std::fabs(want));
}

// got[i] against want(i)
template <class T, class F>
void same(const std::string &what, Array<T> &got, const F &want, double tolerance = 2e-5) {
  for (long i = 0; i < got.size(); ++i) {
    if (near(static_cast<double>(got[i]), want(i), tolerance))
      continue;
    std::printf("FAIL %s [%ld]: got %g, expected %g\n", what.c_str(), i,
                static_cast<double>(got[i]), static_cast<double>(want(i)));
    ++failures;
    return;
  }
}

inline void status(const std::string &what, int got, int want = 0) {
  if (const int later = finished()) {
    std::printf("FAIL %s: error %d on the device\n", what.c_str(), later);
    ++failures;
  }
  if (got != want) {
    std::printf("FAIL %s: status %d\n", what.c_str(), got);
    ++failures;
  }
}

// A status that is told with its file and line.
template <class S> auto status(const std::string &what, const S &got)
    -> decltype(got.code, void()) {
  status(what, got.code);
}

template <class... Parts> std::string name(const Parts &...parts) {
  std::string text;
  ((text += std::string(text.empty() ? "" : " ") + parts), ...);
  return text;
}
inline std::string of(long n) { return std::to_string(n); }

// A fault that the simulator finds is an exception.
template <class F> int run(const F &body) {
  try {
    body();
  } catch (const std::exception &e) {
    std::printf("FAIL %s\n", e.what());
    ++failures;
  }
  std::printf("%s\n", failures ? "FAILED" : "PASSED");
  return failures != 0;
}

} // namespace check
