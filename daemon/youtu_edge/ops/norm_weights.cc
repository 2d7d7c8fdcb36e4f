#include "norm_weights.h"

#include <cmath>

namespace youtu {

NormWeights::NormWeights(const Node& node, size_t gain_input) : epsilon(node.number("epsilon", 0.0f)) {
  if (!(epsilon >= 0.0f) || std::isinf(epsilon)) refuse("epsilon must be a number of at least 0");
  const Tensor tensor = node.constant(gain_input, "gain", kFloat, 1);
  width = tensor.shape[0];
  gain = tensor.as<float>();
  for (size_t i = 0; i < width; ++i)
    if (!std::isfinite(gain[i])) refuse(tensor.name + " has a NaN or an infinity at " + std::to_string(i));
}

}  // namespace youtu
