// The names of the activations.

#pragma once

namespace tinygrad_ai {

enum class Act { none, relu, leaky_relu, sigmoid, tanh, gelu, gelu_tanh, silu };

constexpr bool slope_needs_input(Act act) { return act >= Act::gelu; }

} // namespace tinygrad_ai
