// The operators of ../ for the CUDA provider of ONNX Runtime: the same names, inputs, attributes and checks.
//
// Constant inputs and the integers of a step are asked for in the host's memory: there they are checked by the very code
// that checks them for a processor, and copied to the device, once and when they change.
#pragma once

#include <memory>

#include "../attention_inputs.h"
#include "../norm_weights.h"
#include "../operator.h"
#include "weights.h"

namespace youtu::cuda {

#ifdef YOUTU_EMULATOR
inline constexpr char kProvider[] = "CPUExecutionProvider";  // whose memory the emulator's kernels work on
#else
inline constexpr char kProvider[] = "CUDAExecutionProvider";
#endif

// y = x W^T; see ../linear.h
struct Linear {
  static constexpr const char* kName = "Linear";
  static constexpr InputSpec kInputs[] = {
      {kFloat, kRequired},           // x
      {kUint8, kRequired, kHost},    // codes
      {kFloat16, kRequired, kHost},  // scales
      {kUint8, kOptional, kHost},    // zero_points
      {kFloat16, kOptional, kHost},  // minimums
  };
  static constexpr size_t kOutputs = 1;
  explicit Linear(const Node& node) : matrix(DeviceMatrix(QuantisedMatrix(node, 1))) {}
  void compute(const Context& context);
  DeviceMatrix matrix;
};

// ids [T] -> [T, K]; see ../embedding.h
struct Embedding {
  static constexpr const char* kName = "Embedding";
  static constexpr InputSpec kInputs[] = {
      {kInt64, kRequired, kHost},    // ids
      {kUint8, kRequired, kHost},    // codes
      {kFloat16, kRequired, kHost},  // scales
      {kUint8, kOptional, kHost},    // zero_points
      {kFloat16, kOptional, kHost},  // minimums
  };
  static constexpr size_t kOutputs = 1;
  explicit Embedding(const Node& node) : host(node, 1), matrix(host) {}
  void compute(const Context& context);
  QuantisedMatrix host;
  DeviceMatrix matrix;
};

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

// The gain of a norm on the device.
struct DeviceNorm {
  DeviceNorm(const Node& node, size_t gain_input);
  float epsilon;
  int64_t width;
  std::shared_ptr<const void> gain;
};

// x / sqrt(mean(x^2) + epsilon) * gain
struct RmsNorm {
  static constexpr const char* kName = "RmsNorm";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kFloat, kRequired, kHost}};
  static constexpr size_t kOutputs = 1;
  explicit RmsNorm(const Node& node) : norm(node, 1) {}
  void compute(const Context& context);
  DeviceNorm norm;
};

// RmsNorm of x + residual, and the sum itself
struct AddRmsNorm {
  static constexpr const char* kName = "AddRmsNorm";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kFloat, kRequired}, {kFloat, kRequired, kHost}};
  static constexpr size_t kOutputs = 2;
  explicit AddRmsNorm(const Node& node) : norm(node, 2) {}
  void compute(const Context& context);
  DeviceNorm norm;
};

// With a float16 cache; see ../paged_attention.h
struct PagedAttention {
  static constexpr const char* kName = "PagedAttention";
  static constexpr InputSpec kInputs[] = {
      {kFloat, kRequired},         // query
      {kFloat, kOptional},         // key
      {kFloat, kOptional},         // value
      {kUndefined, kRequired},     // key_cache
      {kUndefined, kOptional},     // value_cache
      {kInt32, kRequired, kHost},  // cumulative_sequence_length
      {kInt32, kRequired, kHost},  // past_seqlens
      {kInt32, kRequired, kHost},  // block_table
      {kFloat, kOptional},         // cos_cache
      {kFloat, kOptional},         // sin_cache
      {kInt32, kOptional, kHost},  // slot_mapping
      {kUndefined, kOptional},     // head_sink: this and the next four are refused by name
      {kUndefined, kOptional},     // q_norm_weight
      {kUndefined, kOptional},     // k_norm_weight
      {kUndefined, kOptional},     // k_scale
      {kUndefined, kOptional},     // v_scale
      {kInt32, kOptional, kHost},  // attention_metadata: not needed, as the lengths are on the host
  };
  static constexpr size_t kOutputs = 1;
  explicit PagedAttention(const Node& node) : attributes_(node) {}
  void compute(const Context& context);

 private:
  AttentionAttributes attributes_;
};

}  // namespace youtu::cuda
