// y = x W^T for one quantised matrix, or one per head.
#pragma once

#include "operator.h"
#include "quantised_matrix.h"

namespace youtu {

// x [T, heads * K] -> [T, heads * N]: head h multiplies its K columns with rows [h * N, (h + 1) * N) of the matrix.
struct Linear {
  static constexpr const char* kName = "Linear";
  static constexpr InputSpec kInputs[] = {
      {kFloat, kRequired},    // x
      {kUint8, kRequired},    // codes
      {kFloat16, kRequired},  // scales
      {kUint8, kOptional},    // zero_points
      {kFloat16, kOptional},  // minimums
  };
  static constexpr size_t kOutputs = 1;
  explicit Linear(const Node& node) : matrix(node, 1) {}
  void compute(const Context& context);
  QuantisedMatrix matrix;
};

}  // namespace youtu
