// Steps of optimizers: one pass over a parameter and its state.

#pragma once

#include "threads.h"

namespace tinygrad_ai::ISA {

constexpr index step_grain = 8192;

// g + decay p. Without decay p is not looked at: it may be infinite, and 0 times that is NaN.
template <class T> ALWAYS_INLINE T with_decay(T g, T decay, T p) {
  return decay == 0 ? g : g + decay * p;
}

template <bool amsgrad, class T> void adam_part(const Adam<T> &s, index begin, index end) {
  const T rest1 = T(1 - s.beta1), beta2 = T(s.beta2), rest2 = T(1 - s.beta2), eps = T(s.eps);
  const T rate = T(s.lr / s.correction1), scale = T(1 / __builtin_sqrt(s.correction2));
  const T decay = s.decoupled ? T(0) : T(s.weight_decay);
  const T keep = s.decoupled ? T(1 - s.lr * s.weight_decay) : T(1);
  T *__restrict p = s.p, *__restrict m = s.m, *__restrict v = s.v, *__restrict top = s.v_max;
  const T *__restrict g = s.g;
  for (index i = begin; i < end; ++i) {
    T gi = with_decay(g[i], decay, p[i]);
    T mi = m[i] + rest1 * (gi - m[i]);
    T vi = beta2 * v[i] + rest2 * (gi * gi);
    m[i] = mi;
    v[i] = vi;
    if (amsgrad)
      top[i] = vi = top[i] > vi ? top[i] : vi;
    p[i] = keep * p[i] - rate * mi / (root(vi) * scale + eps);
  }
}

template <class T> void adam(const Adam<T> &s, int threads) {
  parallel(s.count, 64, step_grain, threads, [&](index i, index end) {
    s.v_max ? adam_part<true>(s, i, end) : adam_part<false>(s, i, end);
  });
}

template <bool moving, class T> void sgd_part(const Sgd<T> &s, index begin, index end) {
  const T lr = T(s.lr), momentum = T(s.momentum), decay = T(s.weight_decay);
  const T keep = s.first ? T(0) : momentum, take = s.first ? T(1) : T(1 - s.dampening);
  const bool nesterov = s.nesterov;
  T *__restrict p = s.p, *__restrict velocity = s.velocity;
  const T *__restrict g = s.g;
  for (index i = begin; i < end; ++i) {
    T gi = with_decay(g[i], decay, p[i]);
    if (moving) {
      T vi = keep * velocity[i] + take * gi;
      velocity[i] = vi;
      gi = nesterov ? gi + momentum * vi : vi;
    }
    p[i] -= lr * gi;
  }
}

template <class T> void sgd(const Sgd<T> &s, int threads) {
  parallel(s.count, 64, step_grain, threads, [&](index i, index end) {
    s.velocity ? sgd_part<true>(s, i, end) : sgd_part<false>(s, i, end);
  });
}

template <bool centered, bool moving, class T>
void rmsprop_part(const RmsProp<T> &s, index begin, index end) {
  const T lr = T(s.lr), alpha = T(s.alpha), rest = T(1 - s.alpha), eps = T(s.eps);
  const T decay = T(s.weight_decay), momentum = T(s.momentum);
  T *__restrict p = s.p, *__restrict square = s.square, *__restrict mean = s.mean;
  T *__restrict velocity = s.velocity;
  const T *__restrict g = s.g;
  for (index i = begin; i < end; ++i) {
    T gi = with_decay(g[i], decay, p[i]);
    T spread = square[i] = alpha * square[i] + rest * (gi * gi);
    if (centered) {
      T mi = mean[i] + rest * (gi - mean[i]);
      mean[i] = mi;
      spread -= mi * mi;
    }
    T move = gi / (root(spread) + eps);
    if (moving)
      velocity[i] = move = momentum * velocity[i] + move;
    p[i] -= lr * move;
  }
}

template <class T> void rmsprop(const RmsProp<T> &s, int threads) {
  parallel(s.count, 64, step_grain, threads, [&](index i, index end) {
    if (s.mean)
      s.velocity ? rmsprop_part<true, true>(s, i, end) : rmsprop_part<true, false>(s, i, end);
    else
      s.velocity ? rmsprop_part<false, true>(s, i, end) : rmsprop_part<false, false>(s, i, end);
  });
}

} // namespace tinygrad_ai::ISA
