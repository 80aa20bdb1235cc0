// Random numbers for Python.

#include "bindings.h"
#include "kernels.h"

namespace tinygrad_ai::cuda {
namespace {

Random random_of(std::uint64_t seed, std::uint64_t offset, Address base) {
  return {seed, offset, at<const std::uint64_t>(base)};
}

Status uniform_of(Dtype dtype, const Random &s, Address y, index count, Address stream) {
  if (dtype == Dtype::float32)
    return uniform(s, at<float>(y), count, stream_of(stream));
  if (dtype == Dtype::float64)
    return uniform(s, at<double>(y), count, stream_of(stream));
  refuse("expected float32 or float64 to draw");
}

} // namespace

void add_random(py::module_ &m) {
  m.def(
      "random_words",
      [](std::uint64_t seed, std::uint64_t offset, Address base, Address y, index count,
         Address stream) {
        check_sizes({count});
        check(random_words(random_of(seed, offset, base), at<std::uint32_t>(y), count,
                           stream_of(stream)));
      },
      "Words of 32 random bits, from block offset + *base on; base 0: from offset on.", "seed"_a,
      "offset"_a, "base"_a, "y"_a, "count"_a, "stream"_a);
  m.def(
      "uniform",
      [](Dtype dtype, std::uint64_t seed, std::uint64_t offset, Address base, Address y,
         index count, Address stream) {
        check_sizes({count});
        check(uniform_of(dtype, random_of(seed, offset, base), y, count, stream));
      },
      "Numbers in [0, 1) from the same words.", "dtype"_a, "seed"_a, "offset"_a, "base"_a, "y"_a,
      "count"_a, "stream"_a);
  m.def(
      "below",
      [](std::uint64_t seed, std::uint64_t offset, Address base, std::uint64_t limit, Address y,
         index count, Address stream) {
        check_sizes({count});
        check(below(random_of(seed, offset, base), at<unsigned char>(y), count, limit,
                    stream_of(stream)));
      },
      "Bytes, 1 where a word is below limit.", "seed"_a, "offset"_a, "base"_a, "limit"_a, "y"_a,
      "count"_a, "stream"_a);
}

} // namespace tinygrad_ai::cuda
