// What all kernels of attention share: the matrices of one head, what becomes of its scores, and
// which of its rows a block has.

#pragma once

#include "attention.h"
#include "half.cuh"
#include "reduce.cuh"

namespace tinygrad_ai::cuda {

template <class T> struct Matrix {
  T *at;
  index row, col;
  ON_DEVICE T &operator()(index r, index c) const { return at[r * row + c * col]; }
};

// Which matrix of a stack: its index along each leading dimension. The divisions are made once.
struct Place {
  index at[most_lead];

  ON_DEVICE Place(const Lead &lead, index i) {
#pragma unroll
    for (int d = most_lead - 1; d >= 0; --d) {
      at[d] = 0;
      if (d < lead.ndim) // divisions are slow
        at[d] = i % lead.size[d], i /= lead.size[d];
    }
  }
};

template <class T> ON_DEVICE Matrix<T> matrix_of(const Stack<T> &s, const Place &place) {
  if (!s.at)
    return {nullptr, 0, 0};
  index offset = 0;
#pragma unroll
  for (int d = 0; d < most_lead; ++d)
    offset += place.at[d] * s.lead[d];
  return {s.at + offset, s.row, s.col};
}

// One head's inputs, and what a score and a probability of a query's row and a key become. I counts
// rows: an int where registers are few.
template <class T, class I = index> struct Head {
  using V = Wide<T>;
  Place place;
  Matrix<const T> q, k, v, bias;
  Matrix<const unsigned char> keep;
  I rows, keys;
  V scale, grow;
  bool causal;

  ON_DEVICE Head(const Attention<T> &s, index number)
      : place(s.lead, number), q(matrix_of(s.q, place)), k(matrix_of(s.k, place)),
        v(matrix_of(s.v, place)), bias(matrix_of(s.bias, place)), keep(matrix_of(s.keep, place)),
        rows(I(s.rows)), keys(I(s.keys)), scale(V(s.scale)), grow(V(s.grow)), causal(s.causal) {}

  ON_DEVICE bool hidden(I row, I key) const {
    return row >= rows || key >= keys || (causal && key > row);
  }
  // -inf for keys that are not there, or hidden.
  ON_DEVICE V score(V product, I row, I key) const {
    if (hidden(row, key))
      return -infinity<V>();
    return product * scale + (bias.at ? widen(bias(row, key)) : V(0));
  }
  ON_DEVICE V kept(V p, I row, I key) const {
    if (!keep.at || row >= rows || key >= keys)
      return p;
    return p * (keep(row, key) ? grow : V(0));
  }
  // Keys that some of the queries before `end` may see.
  ON_DEVICE I last_key(I end) const { return causal && end < keys ? end : keys; }
};

// f(head, begin) for every `size` rows of every head: a block takes them in steps of the grid.
template <class I, class F> ON_DEVICE void each_share(I heads, I rows, int size, const F &f) {
  const I shares = (rows + size - 1) / size;
  for (I i = blockIdx.x; i < heads * shares; i += gridDim.x)
    f(i / shares, i % shares * size);
}

// Σ g y of each row, which is Σ p gp: what softmax's gradient subtracts.
template <class T>
__global__ void __launch_bounds__(Team<8>::threads)
    attend_grad_sums(const AttentionGrad<T> s, Wide<T> *both) {
  const Attention<T> &f = s.forward;
  Team<8>::by_row(f.lead.count * f.rows, f.outer, [&](index i, index width) {
    const index head = width ? i / f.rows : 0, row = width ? i % f.rows : 0;
    const Place place(f.lead, head);
    const Matrix<const T> g = matrix_of(s.g, place);
    const Matrix<T> y = matrix_of(f.y, place);
    const auto sum = Team<8>::sum_over<Wide<T>>(
        width, [&](index c) { return widen(g(row, c)) * widen(y(row, c)); });
    if (Team<8>::lane() == 0 && i < f.lead.count * f.rows)
      both[i] = sum;
  });
}

} // namespace tinygrad_ai::cuda
