// Attention on tensor cores, for bfloat16 and float16: FlashAttention-2 (Dao, 2023).
//
// A warp has 16 or 32 rows of queries and multiplies them with a tile of keys that all warps share,
// and that was fetched while the tile before was worked on. What a product leaves in a lane's
// registers is, in pairs, what the next product takes as its left side: scores become probabilities
// and meet the values without a way through memory. Scores count in powers of 2, with the scale
// folded in: exp(s) is one multiplication and one instruction.

#pragma once

#include "attention_parts.cuh"
#include "tensor_core.cuh"

namespace tinygrad_ai::cuda {

constexpr int mma_warps = 4, mma_threads = mma_warps * warp;
constexpr float log2_e = 1.44269504f, ln_2 = 0.69314718f;

// Heads are padded with zeros to D numbers. A warp has 16 MT rows, a block BM; a tile on the other
// side has BN rows.
template <int D_, int MT_, int BN_> struct Cut {
  static constexpr int D = D_, MT = MT_, BM = mma_warps * 16 * MT_, BN = BN_;
  static constexpr int line = D + 8; // of a tile: rows that are read together meet in no bank
  // `own` matrices of the block's own rows, and two stages of two tiles of the other side.
  static constexpr int numbers(int own) { return (own * BM + 4 * BN) * line; }
};
template <int D, bool EXTRA> using ForwardCut = Cut<D, EXTRA ? 1 : 2, D == 64 ? 64 : 32>;
template <int D, bool EXTRA>
using GradCut = Cut<D, D == 64 && !EXTRA ? 2 : 1, D == 64 ? 64 : 32>;

// A matrix that tiles are fetched from. A thread always copies the same columns.
template <class T, int D> struct Source {
  static constexpr int each = 16 / sizeof(T), across = D / each, down = mma_threads / across;
  Matrix<const T> from;
  int count, width;

  ON_DEVICE Source(Matrix<const T> m, index count, index width)
      : from(m), count(static_cast<int>(count)), width(static_cast<int>(width)) {}

  // Whether lines can be copied in pieces of 16 bytes.
  ON_DEVICE bool wide() const {
    const auto places = reinterpret_cast<unsigned long long>(from.at) |
                        static_cast<unsigned long long>(from.row) * sizeof(T);
    return from.col == 1 && places % 16 == 0;
  }
  // Begins to fetch ROWS rows; zeros outside.
  template <int ROWS> ON_DEVICE void fetch(T *to, int begin) const {
    constexpr int line = D + 8;
    if (wide()) {
      const int r = static_cast<int>(threadIdx.x) / across, c = threadIdx.x % across * each;
      const int there = width - c < 0 ? 0 : width - c < each ? width - c : each;
      const T *at = &from(begin + r, there ? c : 0);
      to += r * line + c;
#pragma unroll
      for (int i = 0; i < ROWS; i += down, at += down * from.row) {
        const bool inside = begin + r + i < count;
        copy_async<16>(to + i * line, inside ? at : from.at, inside ? there * 2 : 0);
      }
    } else {
#pragma unroll 1
      for (int i = threadIdx.x; i < ROWS * D; i += mma_threads) {
        const int r = i / D, c = i % D;
#ifdef PLANT_FETCH_BOUND
        to[r * line + c] = c < width ? from(begin + r, c) : T{};
#else
        to[r * line + c] = begin + r < count && c < width ? from(begin + r, c) : T{};
#endif
      }
    }
  }
};

// Where a lane's number e of a 16 x 8 part lies: part i down, part n across.
ON_DEVICE int row_in(int i, int e) { return 16 * i + threadIdx.x % warp / 4 + e / 2 * 8; }
ON_DEVICE int column_in(int n, int e) { return 8 * n + threadIdx.x % 4 * 2 + e % 2; }

// f(i, n, e) for all of a lane's numbers.
template <int MT, int NT, class F> ON_DEVICE void each(const F &f) {
#pragma unroll
  for (int i = 0; i < MT; ++i)
#pragma unroll
    for (int n = 0; n < NT; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        f(i, n, e);
}

// The warp's own 16 MT rows as the left side of products, D numbers deep: in registers, or read
// from the tile each time where there are too few of those.
template <class Kind, int D, int MT, bool KEPT> struct Left {
  using T = typename Kind::Number;
  using Lines = Tile<T, 1, D, true>;
  const T *tile;
  unsigned part[KEPT ? D / 16 : 1][MT][4];

  ON_DEVICE explicit Left(const T *rows) : tile(rows) {
    if constexpr (KEPT)
#pragma unroll
      for (int step = 0; step < D / 16; ++step)
        read(step, part[step]);
  }
  ON_DEVICE void read(int step, unsigned (&to)[MT][4]) const {
#pragma unroll
    for (int i = 0; i < MT; ++i)
      Kind::template a_part<Lines>(to[i], tile, 16 * i, 16 * step);
  }
  // x += rows bᵀ; b has 8 NT rows.
  template <int NT> ON_DEVICE void dots(float (&x)[MT][NT][4], const T *b) {
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
      auto &a = part[KEPT ? step : 0];
      if constexpr (!KEPT)
        read(step, a);
#pragma unroll
      for (int n = 0; n < NT; n += 2) {
        unsigned other[2][2];
        Kind::template b_part<Lines>(other, b, 8 * n, 16 * step);
#pragma unroll
        for (int i = 0; i < MT; ++i) {
          Kind::multiply(x[i][n], a[i], other[0]);
          Kind::multiply(x[i][n + 1], a[i], other[1]);
        }
      }
    }
  }
};

// y (16 MT, D) += p b; b has 8 NT rows. What is in the lanes' registers as p is, in pairs, what
// they hold of a left side.
template <class Kind, int MT, int NT, int DT, class T>
ON_DEVICE void add_product(float (&y)[MT][DT][4], const float (&p)[MT][NT][4], const T *b) {
  using Lines = Tile<T, 8 * DT, 1, false>;
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    unsigned a[MT][4];
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int part = 0; part < 4; ++part) {
#ifdef PLANT_HALVES_SWAPPED
        const int h = part / 2 * 2, right = part % 2;
#else
        const int h = part % 2 * 2, right = part / 2; // the two halves of the rows come first
#endif
        a[i][part] = Kind::pair(p[i][n + right][h], p[i][n + right][h + 1]);
      }
#pragma unroll
    for (int d = 0; d < DT; d += 2) {
      unsigned other[2][2];
      Kind::template b_part<Lines>(other, b, 8 * d, 8 * n);
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        Kind::multiply(y[i][d], a[i], other[0]);
        Kind::multiply(y[i][d + 1], a[i], other[1]);
      }
    }
  }
}

// Rows of `to` from `first` on, times `factor`; in pairs where they can be.
template <class Kind, int MT, int DT, class T>
ON_DEVICE void write_rows(const float (&y)[MT][DT][4], Matrix<T> to, int first, int count,
                          int width, float factor) {
  const auto places = reinterpret_cast<unsigned long long>(to.at) |
                      static_cast<unsigned long long>(to.row) * sizeof(T);
  const bool pairs = to.col == 1 && places % 4 == 0;
#pragma unroll
  for (int i = 0; i < MT; ++i)
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      const int row = first + row_in(i, e);
      if (row >= count)
        continue;
      T *at = &to(row, column_in(0, 0)); // one address that moves on: registers are few
#pragma unroll
      for (int d = 0; d < DT; ++d, at += 8 * to.col) {
        const int column = column_in(d, 0);
        const float low = y[i][d][e] * factor, high = y[i][d][e + 1] * factor;
        if (pairs && column + 1 < width) {
          *reinterpret_cast<unsigned *>(at) = Kind::pair(low, high);
          continue;
        }
        if (column < width)
          narrow(low, at[0]);
        if (column + 1 < width)
          narrow(high, at[to.col]);
      }
    }
}

// What scores x of a part become whose first row and column are `down` and `across`. EXTRA: there
// is a bias, a dropout mask, or what else is not usual; the usual kernel has no registers for it.
template <class T, bool EXTRA, bool KEYS_DOWN> struct Scores {
  const Head<T, int> &head;
  float scale, unit; // to powers of 2, and what of it is left to do for those who take the powers

  ON_DEVICE explicit Scores(const Head<T, int> &h)
      : head(h), scale(h.scale * log2_e), unit(EXTRA ? 1.0f : scale) {}

  // f(number, row, key) for all of x.
  template <int MT, int NT, class F>
  ON_DEVICE static void over(float (&x)[MT][NT][4], int down, int across, const F &f) {
    each<MT, NT>([&](int i, int n, int e) {
      const int r = down + row_in(i, e), c = across + column_in(n, e);
      f(x[i][n][e], KEYS_DOWN ? c : r, KEYS_DOWN ? r : c);
    });
  }
  template <int MT, int NT> ON_DEVICE void finish(float (&x)[MT][NT][4], int down,
                                                  int across) const {
    if (EXTRA && head.bias.at)
      over(x, down, across, [&](float &one, int row, int key) {
        const bool inside = row < head.rows && key < head.keys;
        one = one * scale + (inside ? widen(head.bias(row, key)) * log2_e : 0.0f);
      });
    else if (EXTRA)
      over(x, down, across, [&](float &one, int, int) { one *= scale; });
    if (partly_hidden(KEYS_DOWN ? across : down, KEYS_DOWN ? 8 * NT : 16 * MT,
                      KEYS_DOWN ? down : across, KEYS_DOWN ? 16 * MT : 8 * NT))
      over(x, down, across, [&](float &one, int row, int key) {
        if (head.hidden(row, key))
          one = -infinity<float>();
      });
  }
  template <int MT, int NT> ON_DEVICE void drop(float (&x)[MT][NT][4], int down, int across) const {
    if (EXTRA && head.keep.at)
      over(x, down, across, [&](float &one, int row, int key) { one = head.kept(one, row, key); });
  }
  // Whether some of these rows do not see some of these keys.
  ON_DEVICE bool partly_hidden(int row, int rows, int key, int keys) const {
    return row + rows > head.rows || key + keys > head.keys ||
           (head.causal && key + keys - 1 > row);
  }
};

// The running maximum and sum of a warp's rows. Each lane sums its own columns until the end.
template <int MT> struct Softmax {
  float top[MT][2], sum[MT][2];

  ON_DEVICE Softmax() {
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        top[i][h] = -infinity<float>(), sum[i][h] = 0;
  }
  // Scores x times `unit` become powers of 2, and what was summed before fades to the new maximum.
  template <int NT, int DT>
  ON_DEVICE void step(float (&x)[MT][NT][4], float (&y)[MT][DT][4], float unit) {
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float high = top[i][h];
#pragma unroll
        for (int n = 0; n < NT; ++n) // of a number and a NaN the number: NaN comes by the sum
          high = fmaxf(high, fmaxf(x[i][n][2 * h], x[i][n][2 * h + 1]));
        high = warp_reduce<4>(high, [](float a, float b) { return fmaxf(a, b); });
        const float shift = high == -infinity<float>() ? 0.0f : high * unit;
        const float fade = exp2_of(top[i][h] * unit - shift);
        top[i][h] = high;
        sum[i][h] *= fade;
#ifndef PLANT_NO_RESCALE
#pragma unroll
        for (int d = 0; d < DT; ++d)
          y[i][d][2 * h] *= fade, y[i][d][2 * h + 1] *= fade;
#endif
#pragma unroll
        for (int n = 0; n < NT; ++n)
#pragma unroll
          for (int e = 2 * h; e < 2 * h + 2; ++e) {
            x[i][n][e] = exp2_of(x[i][n][e] * unit - shift);
            sum[i][h] += x[i][n][e];
          }
      }
  }
};

template <class Kind, int D, bool EXTRA>
__global__ void __launch_bounds__(mma_threads, 2)
    attend_mma(const Attention<typename Kind::Number> s) {
  using T = typename Kind::Number;
  using C = ForwardCut<D, EXTRA>;
  constexpr int MT = C::MT, NT = C::BN / 8;
  DYNAMIC_SHARED(T, q);
  T *const k = q + C::BM * C::line, *const v = k + 2 * C::BN * C::line;
  const int of_warp = static_cast<int>(threadIdx.x) / warp * 16 * MT;
  each_share(
      static_cast<int>(s.lead.count), static_cast<int>(s.rows), C::BM, [&](int number, int begin) {
        // Under a causal mask the last rows have most to do: they begin first.
        if (s.causal)
          begin = (static_cast<int>(s.rows) - 1) / C::BM * C::BM - begin;
        const int first = begin + of_warp;
        const Head<T, int> head(s, number);
        const Scores<T, EXTRA, false> scores(head);
        const Source<T, D> keys(head.k, s.keys, s.inner), values(head.v, s.keys, s.outer);
        const int last = head.last_key(begin + C::BM);
        Source<T, D>(head.q, s.rows, s.inner).template fetch<C::BM>(q, begin);
        keys.template fetch<C::BN>(k, 0), values.template fetch<C::BN>(v, 0);
        commit_copies();
        wait_copies<0>();
        __syncthreads();
        Left<Kind, D, MT, D == 64> queries(q + of_warp * C::line);
        Softmax<MT> softmax;
        float y[MT][D / 8][4] = {};
        int stage = 0;
        for (int j = 0; j < last; j += C::BN) {
          const T *const k_now = k + stage * C::BN * C::line, *const v_now =
                                                                  v + stage * C::BN * C::line;
          stage ^= 1;
          if (j + C::BN < last) {
            keys.template fetch<C::BN>(k + stage * C::BN * C::line, j + C::BN);
            values.template fetch<C::BN>(v + stage * C::BN * C::line, j + C::BN);
          }
          commit_copies();
          if (!s.causal || j < first + 16 * MT) {
            float x[MT][NT][4] = {};
            queries.dots(x, k_now);
            scores.finish(x, first, j);
            softmax.step(x, y, scores.unit);
            scores.drop(x, first, j);
            add_product<Kind>(y, x, v_now);
          }
#ifndef PLANT_MMA_COPY_WAIT
          wait_copies<0>(); // this thread's part of the next tile is there,
#endif
#ifndef PLANT_MMA_BARRIER
          __syncthreads(); // and all others'; and nobody reads the stage that is filled next
#endif
        }
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int h = 0; h < 2; ++h) {
            const float sum =
                warp_reduce<4>(softmax.sum[i][h], [](float a, float b) { return a + b; });
            const bool blind = sum == 0; // no finite score: probabilities 0
            const float part = blind ? 0.0f : 1 / sum;
#pragma unroll
            for (int d = 0; d < D / 8; ++d)
              y[i][d][2 * h] *= part, y[i][d][2 * h + 1] *= part;
            const int row = first + row_in(i, 2 * h);
            if (row < s.rows && threadIdx.x % 4 == 0)
              s.lse[number * index(s.rows) + row] =
                  blind ? 0.0f
                        : log_of(sum) +
                              softmax.top[i][h] * (EXTRA ? ln_2 : static_cast<float>(s.scale));
          }
        write_rows<Kind>(y, matrix_of(s.y, Place(s.lead, number)), first, head.rows,
                         static_cast<int>(s.outer), 1);
      });
}

} // namespace tinygrad_ai::cuda
