#include "pool.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace tinygrad_ai {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto awake = std::chrono::microseconds(200); // longer than Python needs between kernels

class Pool {
public:
  void run(int parts, void (*work)(void *, int), void *context) {
    std::unique_lock<std::mutex> mine(busy_, std::try_to_lock);
    if (!mine) { // the helpers work for somebody else
      for (int part = 0; part < parts; ++part)
        work(context, part);
      return;
    }
    hire(parts - 1);
    keep_apart();
    publish(parts, work, context);
    while (do_one()) {
    }
    while (done_.load(std::memory_order_acquire) < parts)
      sched_yield();
  }

private:
  // Which job it is (upper half), and which of its parts is next: one word, so that a claim fails
  // where the job has changed since it was looked at.
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<void (*)(void *, int)> work_{nullptr};
  std::atomic<void *> context_{nullptr};
  std::atomic<std::uint32_t> parts_{0};
  std::atomic<int> done_{0}, asleep_{0};
  std::vector<pthread_t> helpers_;
  int apart_from_ = -1;
  std::mutex busy_, sleep_;
  std::condition_variable wake_;

  void hire(int count) {
    while (static_cast<int>(helpers_.size()) < count) {
      std::thread helper([this] { help(); });
      helpers_.push_back(helper.native_handle());
      helper.detach();
      apart_from_ = -1;
    }
  }

  // Left alone, Linux often wakes a helper on the very processor that is busy here, and moves it
  // only milliseconds later. So the helpers are kept off it.
  void keep_apart() {
#ifdef __linux__
    const int here = sched_getcpu();
    if (here == apart_from_)
      return;
    apart_from_ = here;
    cpu_set_t others;
    if (here < 0 || sched_getaffinity(0, sizeof others, &others) || CPU_COUNT(&others) < 2)
      return;
    CPU_CLR(here, &others);
    for (const pthread_t helper : helpers_)
      pthread_setaffinity_np(helper, sizeof others, &others);
#endif
  }

  void publish(int parts, void (*work)(void *, int), void *context) {
    parts_ = 0; // with the old ticket nobody may claim a part of the new job
    work_ = work, context_ = context, done_ = 0;
    ticket_ = ((ticket_ >> 32) + 1) << 32;
    parts_ = static_cast<std::uint32_t>(parts);
    if (asleep_) {
      {
        std::lock_guard<std::mutex> guard(sleep_);
      } // whoever is about to wait does so first
      wake_.notify_all();
    }
  }

  bool has_work() const { return static_cast<std::uint32_t>(ticket_) < parts_; }

  // Claims a part and does it; false if there is none.
  bool do_one() {
    std::uint64_t ticket = ticket_;
    for (;;) {
      const auto part = static_cast<std::uint32_t>(ticket);
      const auto work = work_.load();
      void *const context = context_;
      if (part >= parts_)
        return false;
      if (ticket_.compare_exchange_weak(ticket, ticket + 1)) {
        work(context, static_cast<int>(part));
        done_.fetch_add(1, std::memory_order_release);
        return true;
      }
    }
  }

  [[noreturn]] void help() {
    for (;;) {
      const auto since = Clock::now();
      while (!do_one() && Clock::now() - since < awake)
        sched_yield();
      if (has_work() || Clock::now() - since < awake)
        continue;
      std::unique_lock<std::mutex> guard(sleep_);
      ++asleep_;
      wake_.wait(guard, [this] { return has_work(); });
      --asleep_;
    }
  }
};

// Never destroyed: helpers may still look at it while the process ends.
alignas(Pool) unsigned char room[sizeof(Pool)];
Pool *fresh() { return new (room) Pool; }

Pool &pool() {
  static Pool *const made = [] {
    pthread_atfork(nullptr, nullptr, [] { fresh(); }); // a child has none of the helpers
    return fresh();
  }();
  return *made;
}

} // namespace

void share_out(int parts, void (*work)(void *, int), void *context) {
  if (parts > 1)
    return pool().run(parts, work, context);
  if (parts == 1)
    work(context, 0);
}

int usual_threads() {
  if (const char *said = std::getenv("OMP_NUM_THREADS"))
    if (const int n = std::atoi(said); n > 0)
      return n < 1024 ? n : 1024;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

} // namespace tinygrad_ai
