// youtu_edge::PagedAttention, with the inputs and attributes of com.microsoft::PagedAttention.
#pragma once

#include "attention_inputs.h"
#include "operator.h"

namespace youtu {

struct PagedAttention {
  static constexpr const char* kName = "PagedAttention";
  static constexpr InputSpec kInputs[] = {
      {kFloat, kRequired},      // query
      {kFloat, kOptional},      // key
      {kFloat, kOptional},      // value
      {kUndefined, kRequired},  // key_cache: float or float16
      {kUndefined, kOptional},  // value_cache
      {kInt32, kRequired},      // cumulative_sequence_length
      {kInt32, kRequired},      // past_seqlens
      {kInt32, kRequired},      // block_table
      {kFloat, kOptional},      // cos_cache
      {kFloat, kOptional},      // sin_cache
      {kInt32, kOptional},      // slot_mapping
      {kUndefined, kOptional},  // head_sink: this and the next four are rejected by name
      {kUndefined, kOptional},  // q_norm_weight
      {kUndefined, kOptional},  // k_norm_weight
      {kUndefined, kOptional},  // k_scale
      {kUndefined, kOptional},  // v_scale
      {kInt32, kOptional},      // attention_metadata: bounds for the GPU operator; unused here
  };
  static constexpr size_t kOutputs = 1;

  explicit PagedAttention(const Node& node) : attributes_(node) {}
  void compute(const Context& context);

 private:
  AttentionAttributes attributes_;
};

}  // namespace youtu
