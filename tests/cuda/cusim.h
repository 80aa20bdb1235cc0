// cusim.h -- run CUDA kernels on the CPU, one fiber per CUDA thread, for tests.
// Own code, C++17, Linux/macOS (ucontext), no dependencies.
//   * deterministic: threads of a block run one at a time, in an order you choose
//     (CUSIM_ORDER=fwd|rev|shuffle:<seed>); a fiber runs until a barrier or its end
//   * __syncthreads, __syncwarp, __shfl_*_sync, __ballot_sync, atomics, dynamic shared memory
//   * ASan: fiber switches annotated; dynamic shared memory is an exact-size heap block
//   * TSan: fibers are TSan fibers with no implied happens-before, so a missing barrier is
//     reported as a data race whatever the schedule was
//   * shared memory is filled with NaN bytes before every block
//   * barrier divergence (threads waiting at different __syncthreads lines, or exited) = error
#pragma once
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#  define CUSIM_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define CUSIM_ASAN 1
#  endif
#endif
#if defined(__SANITIZE_THREAD__)
#  define CUSIM_TSAN 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define CUSIM_TSAN 1
#  endif
#endif
#ifdef CUSIM_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void** fake, const void* bottom, size_t size);
void __sanitizer_finish_switch_fiber(void* fake, const void** bottom_old, size_t* size_old);
}
#endif
#ifdef CUSIM_TSAN
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);  // 1 = no synchronisation implied
void __tsan_acquire(void* addr);
void __tsan_release(void* addr);
}
#  define CUSIM_ACQ(p) __tsan_acquire((void*)(p))
#  define CUSIM_REL(p) __tsan_release((void*)(p))
#  define CUSIM_NOTSAN __attribute__((no_sanitize("thread"), noinline))
#else
#  define CUSIM_ACQ(p) ((void)0)
#  define CUSIM_REL(p) ((void)0)
#  define CUSIM_NOTSAN
#endif

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#ifndef __restrict__
#  define __restrict__
#endif
#define __align__(n) __attribute__((aligned(n)))

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(16) int4 { int x, y, z, w; };
static inline float4 make_float4(float a, float b, float c, float d) { return {a, b, c, d}; }
static inline float2 make_float2(float a, float b) { return {a, b}; }

namespace cusim {
enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Context {
  ucontext_t start;
  jmp_buf at;
  bool begun = true;   // else it goes on at `start`
};

struct Fiber {
  Context ctx;
  uint3 tid;
  unsigned linear, lane, warp;
  State state = READY;
  int where = 0;             // source line of the barrier it waits at
  unsigned phase = 0;        // block barriers passed
  unsigned wphase = 0;       // warp barriers passed
  unsigned wmask = 0;
  char* stack = nullptr;
  void* fake = nullptr;      // ASan
  void* tsan = nullptr;      // TSan
  struct Copy { char* s; const char* g; int bytes, src; };
  static constexpr unsigned RING = 1024, GROUPS = 32;
  Copy async[RING];                           // cp.async copies not yet performed
  unsigned group[GROUPS];                     // end positions of committed groups
  unsigned head, tail, ghead, gtail;
};

struct Stats { long blocks = 0, switches = 0, barriers = 0; };

struct Engine {
  std::vector<Fiber> fibers;
  char* stacks = nullptr; size_t stacks_bytes = 0;
  size_t stack_size = 0;
  bool interblock = false;                  // TSan: blocks of one grid are unordered, as on a GPU
  std::vector<std::pair<void*, size_t>> maps;
  std::vector<void*> held, old_fibers;
  Context main_ctx;
  void* main_fake = nullptr; const void* main_bottom = nullptr; size_t main_size = 0;
  void* main_tsan = nullptr;
  Fiber* cur = nullptr;
  dim3 bid, bdim, gdim;
  char* smem = nullptr; size_t smem_bytes = 0;
  const std::function<void()>* body = nullptr;
  std::string error;
  char sync_bar[2] = {0, 0}, sync_launch = 0, sync_end = 0;
  char sync_warp[64][2];
  struct Slot { unsigned char b[64]; };
  std::vector<Slot> xchg;     // one per thread: warp exchange buffers
  Stats stats;
  int order = 0; unsigned seed = 1;
};
inline Engine& E() { static Engine e; return e; }
inline Fiber& self() { return *E().cur; }

// swapcontext asks the kernel for the signal mask each time, which takes longer than what a CUDA
// thread does between two barriers; the sanitizers know no other way.
CUSIM_NOTSAN inline void switch_context(Context& from, Context& to) {
#if defined(CUSIM_ASAN) || defined(CUSIM_TSAN)
  swapcontext(&from.start, &to.start);
#else
  if (_setjmp(from.at)) return;
  if (to.begun) _longjmp(to.at, 1);
  to.begun = true;
  setcontext(&to.start);
#endif
}

struct Abort {};   // unwinds a fiber after an error

CUSIM_NOTSAN inline void to_main(Fiber& f, bool dying) {
  Engine& e = E();
#ifdef CUSIM_ASAN
  __sanitizer_start_switch_fiber(dying ? nullptr : &f.fake, e.main_bottom, e.main_size);
#endif
#ifdef CUSIM_TSAN
  __tsan_switch_to_fiber(e.main_tsan, 1);
#endif
  (void)dying;
  switch_context(f.ctx, e.main_ctx);
#ifdef CUSIM_ASAN
  __sanitizer_finish_switch_fiber(f.fake, &e.main_bottom, &e.main_size);
#endif
}

CUSIM_NOTSAN inline void entry() {
  Engine& e = E();
#ifdef CUSIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &e.main_bottom, &e.main_size);
#endif
  Fiber& f = *e.cur;
  f.ctx.start.uc_stack.ss_size = 0;   // or ASan would forget all it knows of the stack at each switch
  CUSIM_ACQ(&e.sync_launch);
  try { (*e.body)(); } catch (Abort&) {}
  CUSIM_REL(&e.sync_end);
  f.state = DONE;
  to_main(f, true);
}

CUSIM_NOTSAN inline void resume(Fiber& f) {
  Engine& e = E();
  e.cur = &f; ++e.stats.switches;
#ifdef CUSIM_ASAN
  __sanitizer_start_switch_fiber(&e.main_fake, f.stack, e.stack_size);
#endif
#ifdef CUSIM_TSAN
  __tsan_switch_to_fiber(f.tsan, 1);
#endif
  switch_context(e.main_ctx, f.ctx);
#ifdef CUSIM_ASAN
  __sanitizer_finish_switch_fiber(e.main_fake, nullptr, nullptr);
#endif
  e.cur = nullptr;
}

inline void fail(const std::string& s) { if (E().error.empty()) E().error = s; }

CUSIM_NOTSAN inline void block_barrier(int line) {
  Engine& e = E(); Fiber& f = self();
  unsigned p = f.phase;
  f.where = line;
  CUSIM_REL(&e.sync_bar[p & 1]);
  f.state = AT_BARRIER;
  to_main(f, false);
  if (!e.error.empty()) throw Abort{};
  CUSIM_ACQ(&e.sync_bar[p & 1]);
  f.phase = p + 1;
}

// warp barrier; memory = true gives __syncwarp's ordering, false is a bare rendezvous (shuffles)
CUSIM_NOTSAN inline void warp_barrier(unsigned mask, int line, bool memory) {
  Engine& e = E(); Fiber& f = self();
  unsigned p = f.wphase;
  f.where = line; f.wmask = mask;
  if (memory) CUSIM_REL(&e.sync_warp[f.warp][p & 1]);
  f.state = AT_WARP;
  to_main(f, false);
  if (!e.error.empty()) throw Abort{};
  if (memory) CUSIM_ACQ(&e.sync_warp[f.warp][p & 1]);
  f.wphase = p + 1;
}

// Every lane of `mask` publishes `bytes` bytes; fn(lane) then reads any lane's bytes.
template <class T> CUSIM_NOTSAN T exchange(unsigned mask, const T& mine, int src_lane, int line) {
  static_assert(sizeof(T) <= 64, "exchange slot");
  Engine& e = E(); Fiber& f = self();
  const unsigned base = f.warp * 32;
  memcpy(e.xchg[base + f.lane].b, &mine, sizeof(T));
  warp_barrier(mask, line, false);
  T out; memcpy(&out, e.xchg[base + (src_lane & 31)].b, sizeof(T));
  warp_barrier(mask, line, false);
  return out;
}
template <class T, class Fn> CUSIM_NOTSAN void collective(unsigned mask, const T& mine, Fn fn, int line) {
  static_assert(sizeof(T) <= 64, "exchange slot");
  Engine& e = E(); Fiber& f = self();
  const unsigned base = f.warp * 32;
  memcpy(e.xchg[base + f.lane].b, &mine, sizeof(T));
  warp_barrier(mask, line, false);
  fn([&](int lane) -> const T& { return *reinterpret_cast<const T*>(e.xchg[base + lane].b); });
  warp_barrier(mask, line, false);
}

// cp.async: CUSIM_ASYNC=late (default) copies when the group is waited for -- a missing wait reads
// poison; =early copies at once -- a stage refilled too soon overwrites data still being read.
inline bool& async_early() { static bool b = false; return b; }
__attribute__((noinline)) inline void do_copy(char* s, const char* g, int bytes, int src) {   // instrumented on purpose
  for (int i = 0; i < bytes; i += 4) *(uint32_t*)(s + i) = i < src ? *(const uint32_t*)(g + i) : 0u;
}
CUSIM_NOTSAN inline void async_copy(void* s, const void* g, int bytes, int src) {
  Fiber& f = self();
  if (async_early()) return do_copy((char*)s, (const char*)g, bytes, src);
  if (f.tail - f.head >= Fiber::RING) { fail("cp.async: more than 1024 copies in flight"); throw Abort{}; }
  f.async[f.tail++ % Fiber::RING] = {(char*)s, (const char*)g, bytes, src};
}
CUSIM_NOTSAN inline void async_commit() {
  Fiber& f = self();
  if (f.gtail - f.ghead >= Fiber::GROUPS) { fail("cp.async: more than 32 groups in flight"); throw Abort{}; }
  f.group[f.gtail++ % Fiber::GROUPS] = f.tail;
}
CUSIM_NOTSAN inline void async_wait(unsigned keep) {
  Fiber& f = self();
  while (f.gtail - f.ghead > keep)
    for (unsigned end = f.group[f.ghead++ % Fiber::GROUPS]; f.head != end;) {
      Fiber::Copy& c = f.async[f.head++ % Fiber::RING];
      do_copy(c.s, c.g, c.bytes, c.src);
    }
}

CUSIM_NOTSAN inline void run_block() {
  Engine& e = E();
  const size_t n = e.fibers.size();
  std::vector<size_t> idx(n);
  for (size_t i = 0; i < n; ++i) idx[i] = e.order == 1 ? n - 1 - i : i;
  std::mt19937 rng(e.seed + (unsigned)e.stats.blocks);
  for (size_t i = 0; i < n; ++i) {
    Fiber& f = e.fibers[i];
    f.linear = (unsigned)i; f.lane = i & 31; f.warp = (unsigned)(i >> 5);
    f.tid = {(unsigned)(i % e.bdim.x), (unsigned)(i / e.bdim.x % e.bdim.y), (unsigned)(i / e.bdim.x / e.bdim.y)};
    f.state = READY; f.phase = f.wphase = 0; f.head = f.tail = f.ghead = f.gtail = 0;
    f.stack = e.stacks + i * e.stack_size;
    ucontext_t& start = f.ctx.start;
    getcontext(&start);
    start.uc_stack.ss_sp = f.stack; start.uc_stack.ss_size = e.stack_size; start.uc_link = nullptr;
    makecontext(&start, (void (*)())entry, 0);
    f.ctx.begun = false;
#ifdef CUSIM_TSAN
    f.tsan = __tsan_create_fiber(0);
#endif
  }
  CUSIM_REL(&e.sync_launch);
  for (size_t left = n; left;) {
    if (e.order == 2) std::shuffle(idx.begin(), idx.end(), rng);
    bool progressed = false;
    for (size_t i : idx) if (e.fibers[i].state == READY) {
      resume(e.fibers[i]); progressed = true;
      if (e.fibers[i].state == DONE) --left;
    }
    if (!left) break;
    // release warps whose masked lanes have all arrived
    bool warp_released = false;
    for (size_t w = 0; w * 32 < n; ++w) {
      size_t lo = w * 32, hi = std::min(n, lo + 32);
      unsigned arrived = 0, want = 0; int line = -1; bool same = true;
      for (size_t i = lo; i < hi; ++i) if (e.fibers[i].state == AT_WARP) {
        arrived |= 1u << e.fibers[i].lane; want |= e.fibers[i].wmask;
        if (line < 0) line = e.fibers[i].where; else same &= line == e.fibers[i].where;
      }
      if (!arrived) continue;
      unsigned exist = hi - lo == 32 ? 0xffffffffu : (1u << (hi - lo)) - 1;
      if ((want & exist) == arrived) {
        if (!same) fail("warp primitives at different source lines met");
        for (size_t i = lo; i < hi; ++i) if (e.fibers[i].state == AT_WARP) e.fibers[i].state = READY;
        warp_released = true;
      }
    }
    if (warp_released) continue;
    size_t waiting = 0, done = 0; int line = -1; bool same = true;
    for (auto& f : e.fibers) {
      if (f.state == AT_BARRIER) { ++waiting; if (line < 0) line = f.where; else same &= line == f.where; }
      if (f.state == DONE) ++done;
    }
    if (waiting + done == n && waiting) {
      if (!same) fail("__syncthreads divergence: threads wait at different source lines");
      else if (done && e.error.empty())
        fail("__syncthreads at line " + std::to_string(line) + ": " + std::to_string(done) +
             " thread(s) of the block already returned");
      ++e.stats.barriers;
      for (auto& f : e.fibers) if (f.state == AT_BARRIER) f.state = READY;
      continue;
    }
    if (!progressed) {   // lanes stuck: a mask names a lane that never came
      fail("deadlock: a warp primitive waits for lanes that do not arrive");
      for (auto& f : e.fibers) if (f.state != DONE) f.state = READY;
    }
  }
  if (!e.interblock) CUSIM_ACQ(&e.sync_end);
#ifdef CUSIM_TSAN
  for (auto& f : e.fibers) if (e.interblock) e.old_fibers.push_back(f.tsan); else __tsan_destroy_fiber(f.tsan);
#endif
}

inline char* new_stacks(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  E().maps.push_back({p, bytes});
  return (char*)p;
}
CUSIM_NOTSAN inline void end_of_grid() {
  Engine& e = E();
  CUSIM_ACQ(&e.sync_end);
#ifdef CUSIM_TSAN
  for (void* f : e.old_fibers) __tsan_destroy_fiber(f);
#endif
  e.old_fibers.clear();
  for (auto& m : e.maps) munmap(m.first, m.second);
  e.maps.clear();
  for (void* p : e.held) free(p);
  e.held.clear(); e.stacks = nullptr;
}

inline void configure_from_env() {
  Engine& e = E();
  const char* o = getenv("CUSIM_ORDER");
  e.order = 0;
  const char* a = getenv("CUSIM_ASYNC"); async_early() = a && !strcmp(a, "early");
  if (o && !strncmp(o, "rev", 3)) e.order = 1;
  if (o && !strncmp(o, "shuffle", 7)) { e.order = 2; if (o[7] == ':') e.seed = (unsigned)atoi(o + 8); }
}

// Launch; throws std::runtime_error on a detected fault.
CUSIM_NOTSAN inline void launch(dim3 grid, dim3 block, size_t smem, const std::function<void()>& body) {
  Engine& e = E();
  configure_from_env();
  const size_t n = (size_t)block.x * block.y * block.z;
  if (!n || n > 1024) throw std::runtime_error("invalid configuration: block of " + std::to_string(n));
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535)
    throw std::runtime_error("invalid configuration: grid");
  if (smem > 227 * 1024) throw std::runtime_error("too much dynamic shared memory");
#if defined(CUSIM_ASAN) || defined(CUSIM_TSAN)
  e.stack_size = 256 * 1024;
#else
  e.stack_size = 64 * 1024;
#endif
  e.fibers.clear(); e.fibers.resize(n);
  e.xchg.assign((n + 31) / 32 * 32, {});
  e.bdim = block; e.gdim = grid; e.body = &body; e.error.clear();
  struct Cleanup { ~Cleanup() { end_of_grid(); } } cleanup;
#ifdef CUSIM_TSAN
  e.main_tsan = __tsan_get_current_fiber();
  e.interblock = (size_t)grid.x * grid.y * grid.z * n <= 7000;   // TSan's limit on live fibers
#endif
  for (unsigned z = 0; z < grid.z; ++z) for (unsigned y = 0; y < grid.y; ++y) for (unsigned x = 0; x < grid.x; ++x) {
    e.bid = dim3(x, y, z); ++e.stats.blocks;
    if (!e.stacks || e.interblock) e.stacks = new_stacks(n * e.stack_size);
    void* raw = nullptr;   // exact size, so that ASan's redzone starts at byte `smem`
    if (posix_memalign(&raw, 128, smem ? smem : 1)) throw std::bad_alloc();
    e.held.push_back(raw);
    memset(raw, 0xff, smem);
    e.smem = (char*)raw; e.smem_bytes = smem;
    run_block();
    if (!e.interblock) { free(raw); e.held.pop_back(); }
    if (!e.error.empty())
      throw std::runtime_error("block (" + std::to_string(x) + "," + std::to_string(y) + "," +
                               std::to_string(z) + "): " + e.error);
  }
}
}  // namespace cusim

#define threadIdx (cusim::self().tid)
#define blockIdx (cusim::E().bid)
#define blockDim (cusim::E().bdim)
#define gridDim (cusim::E().gdim)
#define warpSize 32
#define __syncthreads() cusim::block_barrier(__LINE__)
#define __syncwarp(...) cusim::warp_barrier(0xffffffffu, __LINE__, true)
#define __shfl_sync(m, v, s) cusim::exchange((m), (v), (int)(s), __LINE__)
#define __shfl_xor_sync(m, v, x) cusim::exchange((m), (v), (int)(cusim::self().lane ^ (x)), __LINE__)
#define __shfl_down_sync(m, v, d) \
  cusim::exchange((m), (v), (int)(cusim::self().lane + (d) < 32 ? cusim::self().lane + (d) : cusim::self().lane), __LINE__)
#define DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(cusim::E().smem)
#define LAUNCH(kernel, grid, block, smem, stream, ...) \
  ((void)(stream), cusim::launch((grid), (block), (smem), [&] { (kernel)(__VA_ARGS__); }))

// atomics: relaxed, real CPU atomics so that TSan sees them as such
template <class T> inline T atomicAdd(T* p, T v) {
  if constexpr (std::is_integral_v<T>) return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
  else {
    T old; __atomic_load(p, &old, __ATOMIC_RELAXED);
    T neu = old + v;
    while (!__atomic_compare_exchange(p, &old, &neu, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) neu = old + v;
    return old;
  }
}

// the sliver of the runtime API that launchers use
typedef void* cudaStream_t;
typedef int cudaError_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
static inline cudaError_t cudaGetLastError() { return cudaSuccess; }
enum { cudaDevAttrMultiProcessorCount = 16, cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
static inline cudaError_t cudaGetDevice(int* device) { *device = 0; return cudaSuccess; }
static inline cudaError_t cudaDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? 100 : 227 * 1024;
  return cudaSuccess;
}
template <class Kernel> inline cudaError_t cudaFuncSetAttribute(Kernel, int, int) { return cudaSuccess; }
