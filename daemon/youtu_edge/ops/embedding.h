// Dequantises rows of an embedding table, whose codes may be shared with the output head.
#pragma once

#include "operator.h"
#include "quantised_matrix.h"

namespace youtu {

// ids [T] -> [T, K]
struct Embedding {
  static constexpr const char* kName = "Embedding";
  static constexpr InputSpec kInputs[] = {
      {kInt64, kRequired},    // ids
      {kUint8, kRequired},    // codes
      {kFloat16, kRequired},  // scales
      {kUint8, kOptional},    // zero_points
      {kFloat16, kOptional},  // minimums
  };
  static constexpr size_t kOutputs = 1;
  explicit Embedding(const Node& node) : matrix(node, 1) {}
  void compute(const Context& context);
  QuantisedMatrix matrix;
};

}  // namespace youtu
