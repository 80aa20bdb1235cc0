// Numbers on the device, under the names that ../activation.h asks for.

#pragma once

#include "../acts.h"
#include "compat.cuh"

#define DEVICE_CALL __device__

namespace tinygrad_ai {

ON_DEVICE float exp_of(float x) { return expf(x); }
ON_DEVICE float exp_down(float x) { return expf(x); }
ON_DEVICE float tanh_of(float x) { return tanhf(x); }
ON_DEVICE float erfc_of(float x) { return erfcf(x); }
ON_DEVICE double exp_of(double x) { return exp(x); }
ON_DEVICE double exp_down(double x) { return exp(x); }
ON_DEVICE double tanh_of(double x) { return tanh(x); }
ON_DEVICE double erfc_of(double x) { return erfc(x); }
template <class V> ON_DEVICE V select(bool condition, V yes, V no) { return condition ? yes : no; }
template <class V> ON_DEVICE constexpr V real_of(double x) { return static_cast<V>(x); }

#include "../activation.h"

} // namespace tinygrad_ai
