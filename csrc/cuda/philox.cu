// Launchers of philox.cuh.

#include "philox.cuh"

namespace tinygrad_ai::cuda {

Status random_words(const Random &s, std::uint32_t *y, index count, Stream stream) {
  LAUNCH_ELEMENTS(draw_words, count, stream, s, y, count);
}
Status uniform(const Random &s, float *y, index count, Stream stream) {
  LAUNCH_ELEMENTS(draw_floats, count, stream, s, y, count);
}
Status uniform(const Random &s, double *y, index count, Stream stream) {
  LAUNCH_ELEMENTS(draw_doubles, count, stream, s, y, count);
}
Status below(const Random &s, unsigned char *y, index count, std::uint64_t limit, Stream stream) {
  LAUNCH_ELEMENTS(draw_below, count, stream, s, y, count, limit);
}

} // namespace tinygrad_ai::cuda
