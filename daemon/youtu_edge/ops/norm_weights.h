// What a norm keeps of its node, checked once when the session is made.
#pragma once

#include "runtime.h"

namespace youtu {

// Refuses a gain or an epsilon that is not finite, by the tensor's name.
struct NormWeights {
  NormWeights(const Node& node, size_t gain_input);
  float epsilon;
  size_t width;
  const float* gain;  // [width], of the session
};

}  // namespace youtu
