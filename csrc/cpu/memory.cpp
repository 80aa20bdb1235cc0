#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace tinygrad_ai {

namespace {

constexpr std::size_t line = 64, huge = std::size_t(1) << 21;
const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
constexpr std::size_t mapped = std::size_t(1) << 20; // blocks from here on are mapped

// Sizes are rounded up to one of eight steps for each power of two: at most an eighth is lost.
struct Size {
  std::size_t capacity, bin;
};

Size size_for(std::size_t bytes) {
  std::size_t shift = 6; // steps of at least a cache line
  while ((std::size_t(16) << shift) <= bytes - 1)
    ++shift;
  const std::size_t steps = ((bytes - 1) >> shift) + 1;
  return {steps << shift, (shift - 6) * 8 + steps};
}

// Zeros, aligned to huge pages: one of them saves 512 small ones, and their faults.
void *map(std::size_t bytes) {
  void *p = mmap(nullptr, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return nullptr;
  const std::size_t at = reinterpret_cast<std::uintptr_t>(p), before = (huge - at % huge) % huge;
  char *start = static_cast<char *>(p) + before;
  if (before)
    munmap(p, before);
  if (huge - before)
    munmap(start + bytes, huge - before);
#ifdef MADV_HUGEPAGE
  madvise(start, bytes, MADV_HUGEPAGE);
#endif
  return start;
}

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

} // namespace

struct alignas(line) Cache::Block { // stands before the memory that is handed out
  std::size_t capacity, bin;
  Block *next;
  bool is_zero;
};

Cache::Block *Cache::fetch(std::size_t capacity) {
  const bool large = capacity >= mapped;
  void *p = large ? map(whole_pages(capacity)) : std::aligned_alloc(line, capacity);
  return p ? new (p) Block{capacity, 0, nullptr, large} : nullptr;
}

void Cache::release(Block *block) {
  if (block->capacity >= mapped)
    munmap(block, whole_pages(block->capacity));
  else
    std::free(block);
}

// A block that waits in this list, or nullptr.
Cache::Block *Cache::waiting(std::size_t bin) {
  Block *block = free_[bin];
  if (block) {
    free_[bin] = block->next;
    kept_ -= block->capacity;
    ++reused_;
  }
  return block;
}

void *Cache::take(std::size_t bytes, bool zeros) {
  if (bytes > SIZE_MAX / 4)
    return nullptr;
  const Size size = size_for(bytes + sizeof(Block));
  std::unique_lock<std::mutex> guard(lock_);
  Block *block = waiting(size.bin);
  if (!block) {
    guard.unlock();
    block = fetch(size.capacity);
    if (!block) {
      clear();
      block = fetch(size.capacity);
    }
    if (!block)
      return nullptr;
    guard.lock();
    ++fetched_;
  }
  used_ += size.capacity;
  most_used_ = used_ > most_used_ ? used_ : most_used_;
  guard.unlock();
  block->bin = size.bin;
  if (zeros && !block->is_zero)
    std::memset(block + 1, 0, bytes);
  block->is_zero = false;
  return block + 1;
}

void *Cache::resize(void *p, std::size_t bytes) {
  if (!p)
    return take(bytes, false);
  const std::size_t held = (static_cast<Block *>(p) - 1)->capacity - sizeof(Block);
  if (bytes <= held && bytes > held / 2)
    return p;
  void *other = take(bytes, false);
  if (other) {
    std::memcpy(other, p, bytes < held ? bytes : held);
    give(p);
  }
  return other;
}

void Cache::give(void *p) {
  if (!p)
    return;
  Block *block = static_cast<Block *>(p) - 1;
  {
    std::lock_guard<std::mutex> guard(lock_);
    used_ -= block->capacity;
    if (kept_ + block->capacity <= limit_) {
      block->next = free_[block->bin];
      free_[block->bin] = block;
      kept_ += block->capacity;
      return;
    }
  }
  release(block);
}

void Cache::set_limit(std::size_t bytes) {
  std::lock_guard<std::mutex> guard(lock_);
  limit_ = bytes;
}

void Cache::clear() {
  std::lock_guard<std::mutex> guard(lock_);
  for (Block *&list : free_)
    while (list) {
      Block *block = list;
      list = block->next;
      release(block);
    }
  kept_ = 0;
}

Cache::Stats Cache::stats() {
  std::lock_guard<std::mutex> guard(lock_);
  return {used_, most_used_, kept_, limit_, reused_, fetched_};
}

Cache &cache() {
  static Cache *const made = new Cache;
  return *made;
}

namespace { // NumPy's PyDataMem_Handler, version 1, as its C-API documents it

struct Allocator {
  void *context;
  void *(*malloc)(void *, std::size_t);
  void *(*calloc)(void *, std::size_t, std::size_t);
  void *(*realloc)(void *, void *, std::size_t);
  void (*free)(void *, void *, std::size_t);
};

struct Handler {
  char name[127];
  std::uint8_t version;
  Allocator allocator;
};

void *take(void *c, std::size_t n) { return static_cast<Cache *>(c)->take(n, false); }
void *take_zeros(void *c, std::size_t count, std::size_t size) {
  std::size_t n;
  if (__builtin_mul_overflow(count, size, &n))
    return nullptr;
  return static_cast<Cache *>(c)->take(n, true);
}
void *resize(void *c, void *p, std::size_t n) { return static_cast<Cache *>(c)->resize(p, n); }
void give(void *c, void *p, std::size_t) { static_cast<Cache *>(c)->give(p); }

constexpr int set_handler = 304; // PyDataMem_SetHandler's place in NumPy's table of functions

} // namespace

void serve_numpy(std::size_t limit) {
  cache().set_limit(limit);
  static Handler handler{"tinygrad_ai", 1, {&cache(), take, take_zeros, resize, give}};
  const py::object table = py::module_::import("numpy._core._multiarray_umath").attr("_ARRAY_API");
  void **functions = static_cast<void **>(PyCapsule_GetPointer(table.ptr(), nullptr));
  const auto set = reinterpret_cast<PyObject *(*)(PyObject *)>(functions[set_handler]);
  const py::capsule ours(&handler, "mem_handler");
  const auto before = py::reinterpret_steal<py::object>(set(ours.ptr()));
  if (!before)
    throw py::error_already_set();
}

} // namespace tinygrad_ai
