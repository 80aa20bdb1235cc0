// Memory that comes back fast. A training loop asks for the same sizes in every step; the system's
// malloc maps large blocks anew each time, and every page of them faults on its first touch. Here a
// freed block waits in the list of its size for the next array, up to a limit.

#pragma once

#include <array>
#include <cstddef>
#include <mutex>

namespace tinygrad_ai {

class Cache {
public:
  struct Stats { // bytes, but for the last two, which count requests
    std::size_t used, most_used, kept, limit, reused, fetched;
  };

  void set_limit(std::size_t bytes);         // of what may wait; at first nothing may
  void *take(std::size_t bytes, bool zeros); // nullptr where the system has no more
  void *resize(void *p, std::size_t bytes);
  void give(void *p);
  void clear(); // gives all that waits back to the system
  Stats stats();

private:
  struct Block;

  Block *waiting(std::size_t bin);
  static Block *fetch(std::size_t capacity);
  static void release(Block *block);

  std::mutex lock_;
  std::array<Block *, 512> free_{};
  std::size_t used_ = 0, most_used_ = 0, kept_ = 0, limit_ = 0, reused_ = 0, fetched_ = 0;
};

// It lives as long as the process: arrays may outlive everything else.
Cache &cache();

// NumPy's interface (NEP 49): arrays made in this context from now on take their memory here.
void serve_numpy(std::size_t limit);

} // namespace tinygrad_ai
