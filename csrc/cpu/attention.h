// Attention without the matrix of scores (Dao et al., 2022): blocks of queries run over blocks of
// keys, with the maximum and the sum so far of each row. The gradient computes the probabilities
// again, block by block, from the log-sums that the forward pass keeps.

#pragma once

#include "products.h"
#include "rows.h"

namespace tinygrad_ai::ISA {

constexpr index row_block = 128, key_block = 128; // a block of scores stays in the second cache

template <class T> struct Matrix {
  T *at;
  index row, col;
  Matrix transposed() const { return {at, col, row}; }
  Matrix below(index rows) const { return {at + rows * row, row, col}; }
};

template <class T> ALWAYS_INLINE Matrix<T> matrix(const Stack<T> &s, const Lead &lead, index i) {
  return {s.at ? matrix_at(s, lead, i) : nullptr, s.row, s.col};
}

// c = a b, or c += a b, by this thread alone.
template <class T>
void multiply(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, index m, index n, index k,
              bool add, T *space) {
  Product<T> p{};
  p.a = a.at, p.a_row = a.row, p.a_col = a.col;
  p.b = b.at, p.b_row = b.row, p.b_col = b.col;
  p.c = c.at, p.c_row = c.row;
  p.m = m, p.n = n, p.k = k, p.add = add;
  packed(p, Range{0, m}, Range{0, n}, space);
}

// A row of products to scores: x = scale x + bias, and -inf from `seen` on, up to a whole vector.
template <class T>
ALWAYS_INLINE void to_scores(T *x, index n, index seen, T scale, const T *bias, index bias_step) {
  using V = typename Vec<T>::type;
  if (bias && bias_step != 1) {
    for (index i = 0; i < seen; ++i)
      x[i] = x[i] * scale + bias[i * bias_step];
  } else {
    over<T>(seen, [&](auto size, index i) {
      V v = get<V>(x + i, size) * scale;
      put(x + i, bias ? v + get<V>(bias + i, size) : v, size);
    });
  }
  for (index i = seen < 0 ? 0 : seen; i < n || i % Vec<T>::width; ++i)
    x[i] = lowest<T>();
}

template <class T> ALWAYS_INLINE void times(T *x, index n, T factor) {
  for (index i = 0; i < n; ++i)
    x[i] *= factor;
}

// x times `grow` where `keep` holds, else 0.
template <class T> ALWAYS_INLINE void drop(T *x, index n, const unsigned char *keep, T grow) {
  for (index i = 0; i < n; ++i)
    x[i] *= keep[i] ? grow : T(0);
}

// How many of the keys [begin, end) query `row` may see.
template <class T> ALWAYS_INLINE index seen(const Attention<T> &s, index row, Range keys) {
  return smaller((s.causal ? row + 1 : keys.end) - keys.begin, keys.end - keys.begin);
}

template <class T> struct Block { // what is at hand for one block of scores
  Matrix<const T> q, k, v, bias;
  Matrix<const unsigned char> keep;
  Range rows, keys;
  T *scores; // (row_block, key_block)
  T *room;   // for the product
  index m() const { return rows.end - rows.begin; }
  index n() const { return keys.end - keys.begin; }
  T *row(index r) const { return scores + r * key_block; }
  Matrix<T> scored() const { return {scores, key_block, 1}; }
  const unsigned char *kept(index r) const { return keep.below(rows.begin + r).at + keys.begin; }
};

template <class T> Block<T> block_of(const Attention<T> &s, index head, T *space) {
  Block<T> b{};
  b.q = matrix(s.q, s.lead, head), b.k = matrix(s.k, s.lead, head);
  b.v = matrix(s.v, s.lead, head), b.bias = matrix(s.bias, s.lead, head);
  b.keep = matrix(s.keep, s.lead, head);
  b.scores = space, b.room = space + 2 * row_block * (key_block + 1);
  return b;
}

// The scores of a block.
template <class T> void score(const Attention<T> &s, const Block<T> &b) {
  multiply<T>(b.q.below(b.rows.begin), b.k.below(b.keys.begin).transposed(), b.scored(), b.m(),
              b.n(), s.inner, false, b.room);
  for (index r = 0; r < b.m(); ++r) {
    const index row = b.rows.begin + r;
    const T *bias = b.bias.at ? b.bias.below(row).at + b.keys.begin * b.bias.col : nullptr;
    to_scores(b.row(r), b.n(), seen(s, row, b.keys), T(s.scale), bias, b.bias.col);
  }
}

// Keys that some query of these rows may see.
template <class T> ALWAYS_INLINE index last_key(const Attention<T> &s, Range rows) {
  return s.causal ? smaller(s.keys, rows.end) : s.keys;
}

// Scores to e^(score - top), for a vector of rows from `first` on: while one row waits for its
// maximum or its sum, the others go on. `top` and `sum` are those so far; rows of y that were
// summed with an older top fade.
template <class T>
void soften(const Attention<T> &s, const Block<T> &b, index first, T *top, T *sum, Matrix<T> y) {
  using V = typename Vec<T>::type;
  constexpr index W = Vec<T>::width;
  const index rows = smaller(W, b.m() - first), n = (b.n() + W - 1) / W * W;
  V of_row[W];
  for (index r = 0; r < W; ++r)
    of_row[r] = r < rows ? tops(b.row(first + r), n) : V{} + lowest<T>();
  V before = load<V>(top + first), best = maxima(of_row);
  best = select(best > before, best, before);
  V shift = select(best == lowest<T>(), V{}, best), fade = exp_down(before - shift);
  for (index r = 0; r < W; ++r)
    of_row[r] = r < rows ? exps(b.row(first + r), b.row(first + r), n, T(shift[r])) : V{};
  store(top + first, best);
  store(sum + first, load<V>(sum + first) * fade + sums(of_row));
  for (index r = 0; r < rows; ++r) {
    if (b.keep.at)
      drop(b.row(first + r), b.n(), b.kept(first + r), T(s.grow));
    if (b.keys.begin > 0 && fade[r] != 1)
      times(y.below(first + r).at, s.outer, T(fade[r]));
  }
}

// The output of a block of queries. A row with no finite score gets probabilities 0.
template <class T> void attend(const Attention<T> &s, index head, Range rows, T *space) {
  Block<T> b = block_of(s, head, space);
  T *top = space + row_block * key_block, *sum = top + row_block;
  const Matrix<T> y = matrix(s.y, s.lead, head).below(rows.begin);
  b.rows = rows;
  for (index r = 0; r < row_block; ++r)
    top[r] = lowest<T>(), sum[r] = 0;
  const index last = last_key(s, rows);
  for (index j = 0; j < last; j += key_block) {
    b.keys = {j, smaller(last, j + key_block)};
    score(s, b);
    for (index r = 0; r < b.m(); r += Vec<T>::width)
      soften(s, b, r, top, sum, y);
    multiply<T>({b.scores, key_block, 1}, b.v.below(j), y, b.m(), s.outer, b.n(), j > 0, b.room);
  }
  T *lse = s.lse + head * s.rows + rows.begin;
  for (index r = 0; r < b.m(); ++r) {
    const bool blind = sum[r] == 0;
    times(y.below(r).at, s.outer, blind ? T(0) : 1 / sum[r]);
    lse[r] = blind ? T(0) : log_of(sum[r]) + top[r];
  }
}

template <class T> std::size_t attention_space(const Attention<T> &, int threads) {
  return sizeof(T) * threads * (2 * row_block * (key_block + 1) + room<T>());
}

// Calls work(head, block of `size` of `count`, a thread's memory) for all blocks of all heads.
template <class T, class F>
void blockwise(const Attention<T> &s, index count, index size, T *space, int threads,
               const F &work) {
  const index blocks = (count + size - 1) / size, own = attention_space(s, 1) / sizeof(T);
  each(s.lead.count * blocks, threads, [&](index i, int thread) {
    const index at = i % blocks * size;
    work(i / blocks, Range{at, smaller(count, at + size)}, space + thread * own);
  });
}

template <class T> void attention(const Attention<T> &s, void *workspace, int threads) {
  const index share = s.lead.count * s.rows / threads; // smaller blocks where threads would wait
  const index size = share >= row_block ? row_block : share > 16 ? share : 16;
  blockwise<T>(s, s.rows, size, static_cast<T *>(workspace), threads,
               [&](index head, Range rows, T *space) { attend(s, head, rows, space); });
}

template <class T> void clear(Matrix<T> m, index rows, index cols) {
  for (index r = 0; r < rows; ++r)
    for (index c = 0; c < cols; ++c)
      m.at[r * m.row + c] = 0;
}

// What a block of scores adds to the gradients: of the queries, of the keys and values, or of all.
template <class T>
void attend_back(const AttentionGrad<T> &s, index head, const Block<T> &b, bool queries,
                 bool keys) {
  using V = typename Vec<T>::type;
  const Attention<T> &f = s.forward;
  const Lead &lead = f.lead;
  const Matrix<const T> g = matrix(s.g, lead, head).below(b.rows.begin);
  const Matrix<T> y = matrix(f.y, lead, head).below(b.rows.begin), gs = matrix(s.gs, lead, head);
  T *inner = b.scores + row_block * key_block; // g vᵀ, then the gradient of the scores
  const Matrix<T> back{inner, key_block, 1};
  multiply<T>(g, b.v.below(b.keys.begin).transposed(), back, b.m(), b.n(), f.outer, false, b.room);
  score(f, b);
  for (index r = 0; r < b.m(); ++r) {
    T *p = b.row(r);
    const T *gr = g.below(r).at, *yr = y.below(r).at;
    const T lse = f.lse[head * f.rows + b.rows.begin + r];
    const T both = sum_over<T>(
        f.outer, [&](auto size, index i) { return get<V>(gr + i, size) * get<V>(yr + i, size); });
    T *x = inner + r * key_block;
    if (b.keep.at)
      drop(x, b.n(), b.kept(r), T(f.grow));
    T *all = gs.at && queries ? gs.below(b.rows.begin + r).at + b.keys.begin : nullptr;
    over<T>(b.n(), [&](auto size, index i) {
      V e = exp_down(get<V>(p + i, size) - lse), into = e * (get<V>(x + i, size) - both);
      put(p + i, e, size);
      if (all)
        put(all + i, into, size);
      put(x + i, into * T(f.scale), size);
    });
    if (b.keep.at)
      drop(p, b.n(), b.kept(r), T(f.grow));
  }
  const Matrix<const T> p{b.scores, key_block, 1}, gscore{inner, key_block, 1};
  if (queries)
    multiply<T>(gscore, b.k.below(b.keys.begin), matrix(s.gq, lead, head).below(b.rows.begin),
                b.m(), f.inner, b.n(), b.keys.begin > 0, b.room);
  if (!keys)
    return;
  multiply<T>(p.transposed(), g, matrix(s.gv, lead, head).below(b.keys.begin), b.n(), f.outer,
              b.m(), true, b.room);
  multiply<T>(gscore.transposed(), b.q.below(b.rows.begin),
              matrix(s.gk, lead, head).below(b.keys.begin), b.n(), f.inner, b.m(), true, b.room);
}

// All blocks of these rows and keys that queries may see.
template <class T>
void attend_back_over(const AttentionGrad<T> &s, index head, Range rows, Range keys, bool queries,
                      bool values, T *space) {
  const Attention<T> &f = s.forward;
  Block<T> b = block_of(f, head, space);
  if (values) {
    clear(matrix(s.gk, f.lead, head).below(keys.begin), keys.end - keys.begin, f.inner);
    clear(matrix(s.gv, f.lead, head).below(keys.begin), keys.end - keys.begin, f.outer);
  }
  for (index i = rows.begin; i < rows.end; i += row_block) {
    b.rows = {i, smaller(rows.end, i + row_block)};
    const index last = smaller(keys.end, last_key(f, b.rows));
    for (index j = keys.begin; j < last; j += key_block) {
      b.keys = {j, smaller(last, j + key_block)};
      attend_back(s, head, b, queries, values);
    }
  }
}

// A thread has whole heads, where each block of scores is computed once. Where heads are fewer than
// threads it has blocks of queries, then blocks of keys. The sums are made in the same order.
template <class T> void attention_grad(const AttentionGrad<T> &s, void *workspace, int threads) {
  const Attention<T> &f = s.forward;
  const Range every_row{0, f.rows}, every_key{0, f.keys};
  T *space = static_cast<T *>(workspace);
  if (f.lead.count >= threads)
    return blockwise<T>(f, f.rows, f.rows, space, threads, [&](index head, Range, T *own) {
      attend_back_over(s, head, every_row, every_key, true, true, own);
    });
  blockwise<T>(f, f.rows, row_block, space, threads, [&](index head, Range rows, T *own) {
    attend_back_over(s, head, rows, every_key, true, false, own);
  });
  blockwise<T>(f, f.keys, key_block, space, threads, [&](index head, Range keys, T *own) {
    attend_back_over(s, head, every_row, keys, false, true, own);
  });
}

} // namespace tinygrad_ai::ISA
