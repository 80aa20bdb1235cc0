// Products of stacked matrices.

#pragma once

#include "product.h"

namespace tinygrad_ai::ISA {

// The matrix of a stack for index i of the leading dimensions, counted in row-major order.
template <class T> ALWAYS_INLINE T *matrix_at(const Stack<T> &s, const Lead &lead, index i) {
  T *at = s.at;
  for (int d = lead.ndim - 1; d >= 0; --d) {
    at += i % lead.size[d] * s.lead[d];
    i /= lead.size[d];
  }
  return at;
}

template <class T> Product<T> product_at(const Products<T> &s, index i) {
  Product<T> p{};
  p.a = matrix_at(s.a, s.lead, i), p.b = matrix_at(s.b, s.lead, i), p.c = matrix_at(s.c, s.lead, i);
  p.m = s.m, p.n = s.n, p.k = s.k;
  p.a_row = s.a.row, p.a_col = s.a.col, p.b_row = s.b.row, p.b_col = s.b.col, p.c_row = s.c.row;
  return p;
}

// For threads that share a product, or have one each.
template <class T> std::size_t products_space(const Products<T> &s, int threads) {
  const Product<T> p = product_at(s, 0);
  const std::size_t shared = product_space(p, threads), own = product_space(p, 1) * threads;
  return shared > own ? shared : own;
}

// Threads take whole matrices where there are enough of them, else they share each.
template <class T> void products(const Products<T> &s, void *workspace, int threads) {
  const bool many = s.lead.count >= 4 * threads || s.lead.count % threads == 0;
  if (!many) {
    for (index i = 0; i < s.lead.count; ++i)
      product(product_at(s, i), workspace, threads);
    return;
  }
  const std::size_t room = product_space(product_at(s, 0), 1);
  const index useful = 1 + s.lead.count * s.m * s.n * s.k / 65536; // less is not worth a thread
  each(s.lead.count, static_cast<int>(smaller<index>(threads, useful)), [&](index i, int t) {
    product(product_at(s, i), static_cast<char *>(workspace) + room * t, 1);
  });
}

} // namespace tinygrad_ai::ISA
