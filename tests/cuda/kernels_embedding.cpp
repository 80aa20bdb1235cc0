// The kernels of embedding.cuh on the CPU: rows used never, once and often, and padding.

#include "../../csrc/cuda/embedding.cu"
#include "check.h"

#include <algorithm>
#include <numeric>

using namespace tinygrad_ai;
using check::Array, check::name, check::of, check::same, check::status;

static void embeddings(long rows, long count, long width, long skip, bool by_frequency) {
  const std::string what = name("embedding", of(rows), of(count), of(width));
  Array<float> w(rows * width), y(count * width, NAN), g(count * width), gw(rows * width);
  Array<long> place(count), order(count, -1);
  normal(w), normal(g), labels(place, rows);
  if (count > 4)
    place[1] = rows, place[count - 1] = -1; // not of the table: nothing past it is touched
  auto inside = [&](long i) { return place[i] >= 0 && place[i] < rows; };
  status(what, cuda::embedding(Embedding<float>{w, place, y, count, width}, rows, nullptr));
  same(
      what, y,
      [&](long i) {
        const long r = i / width;
        return inside(r) ? w[place[r] * width + i % width] : NAN;
      },
      0);
  std::vector<long> sorted(count), uses(rows + 1);
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](long a, long b) { return place[a] < place[b]; });
  status(what, cuda::embedding_order(place, count, order, nullptr));
  same(what + " order", order, [&](long i) { return sorted[i]; }, 0);
  std::vector<double> want(rows * width);
  for (long i = 0; i < count; ++i)
    if (inside(i))
      ++uses[place[i]];
  for (long i = 0; i < count; ++i)
    for (long c = 0; c < width && inside(i); ++c)
      if (place[i] != skip)
        want[place[i] * width + c] += g[i * width + c] / (by_frequency ? uses[place[i]] : 1.0);
  status(what, cuda::embedding_grad(EmbeddingGrad<float>{g, place, gw, count, width, skip}, rows,
                                    order, by_frequency, nullptr));
  same(what + " gw", gw, [&](long i) { return want[i]; });
}

// A table of more than 2^31 numbers, its last row used twice.
static void far_row() {
  const long width = 5, rows = (1L << 31) / width + 9;
  check::Far<float> w(rows * width), gw(rows * width);
  Array<float> y(2 * width, NAN), g(2 * width, 1.5f);
  Array<long> place(2, rows - 1), order(2);
  for (long c = 0; c < width; ++c)
    w[(rows - 1) * width + c] = c;
  status("far", cuda::embedding(Embedding<float>{w, place, y, 2, width}, rows, nullptr));
  same("far row", y, [&](long i) { return i % width; }, 0);
  status("far", cuda::embedding_order(place, 2, order, nullptr));
  const EmbeddingGrad<float> grad{g, place, gw, 2, width, -1};
  status("far", cuda::embedding_grad(grad, rows, order, false, nullptr));
  for (long c = 0; c < width; ++c)
    status("far gradient", gw[(rows - 1) * width + c] == 3, true);
}

int main() {
  return check::run([] {
    embeddings(5, 300, 7, 2, true);
    if (check::few)
      return;
    far_row();
    embeddings(5, 0, 3, -1, false), embeddings(3, 4, 0, -1, false);
    embeddings(1, 1, 1, -1, false), embeddings(1, 9, 131, 0, false);
    embeddings(97, 513, 33, 3, false), embeddings(500, 31, 129, -1, true);
  });
}
