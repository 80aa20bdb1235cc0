// For launchers without Python: what they would have compiled is as good as its name.

#include "../../csrc/cuda/philox.cuh"

using namespace tinygrad_ai::cuda;

extern "C" void fake_compiler() {
  set_compiler([](const std::string &symbol, const std::string &, int) { return symbol; });
}

// Inline launchers are there only where somebody calls them.
extern "C" int call_inline_launchers(const Random *random, unsigned char *keep,
                                     std::uint64_t *counters) {
  const int status = dropout_mask(*random, keep, 1, 0.5, nullptr);
  return status ? status : advance(counters, 1, 1, nullptr);
}
