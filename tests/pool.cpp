// Hammers the threads of the kernels from several callers; built with ThreadSanitizer by
// `make sanitize`. Every part must be done once, before share_out returns.

#include "../csrc/cpu/pool.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

struct Job {
  std::vector<int> counts; // plain numbers: a part done twice at once is a race
};

std::atomic<int> wrong{0};

void call(int rounds, int seed) {
  for (int round = 0; round < rounds; ++round) {
    const int parts = 1 + (round * 7 + seed) % 6;
    Job job{std::vector<int>(parts)};
    tinygrad_ai::share_out(
        parts, [](void *j, int part) { ++static_cast<Job *>(j)->counts[part]; }, &job);
    for (int count : job.counts)
      wrong += count != 1;
    if (round % 500 == 0) // long enough for helpers to fall asleep
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

} // namespace

int main() {
  call(5000, 0);
  std::vector<std::thread> callers;
  for (int seed = 1; seed <= 3; ++seed)
    callers.emplace_back(call, 5000, seed);
  for (std::thread &caller : callers)
    caller.join();
  std::printf("%d parts were not done exactly once\n", wrong.load());
  return wrong ? 1 : 0;
}
