// SwiGLU, GeGLU, RmsNorm and AddRmsNorm; rows are independent.
#pragma once

#include "norm_weights.h"
#include "operator.h"

namespace youtu {

// [gate | up] -> silu(gate) * up
struct SwiGLU {
  static constexpr const char* kName = "SwiGLU";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}};
  static constexpr size_t kOutputs = 1;
  explicit SwiGLU(const Node&) {}
  void compute(const Context& context);
};

// [gate | up] -> gelu(gate) * up, with the tanh form of GELU
struct GeGLU {
  static constexpr const char* kName = "GeGLU";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}};
  static constexpr size_t kOutputs = 1;
  explicit GeGLU(const Node&) {}
  void compute(const Context& context);
};

// x / sqrt(mean(x^2) + epsilon) * gain
struct RmsNorm {
  static constexpr const char* kName = "RmsNorm";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kFloat, kRequired}};
  static constexpr size_t kOutputs = 1;
  explicit RmsNorm(const Node& node) : weights(node, 1) {}
  void compute(const Context& context);
  NormWeights weights;
};

// RmsNorm of x + residual, and x + residual
struct AddRmsNorm {
  static constexpr const char* kName = "AddRmsNorm";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kFloat, kRequired}, {kFloat, kRequired}};
  static constexpr size_t kOutputs = 2;
  explicit AddRmsNorm(const Node& node) : weights(node, 2) {}
  void compute(const Context& context);
  NormWeights weights;
};

}  // namespace youtu
