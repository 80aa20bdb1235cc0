// The names of the activations.

#pragma once

namespace tinygrad_ai {

enum class Act { none, relu, leaky_relu, sigmoid, tanh, gelu, gelu_tanh, silu };

} // namespace tinygrad_ai
