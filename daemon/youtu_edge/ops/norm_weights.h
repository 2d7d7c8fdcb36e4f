// The weights of a norm, validated once when the session is created.
#pragma once

#include "runtime.h"

namespace youtu {

// Fails if the gain or epsilon is not finite; the error names the tensor.
struct NormWeights {
  NormWeights(const Node& node, size_t gain_input);
  float epsilon;
  size_t width;
  const float* gain;  // [width], owned by the session
};

}  // namespace youtu
