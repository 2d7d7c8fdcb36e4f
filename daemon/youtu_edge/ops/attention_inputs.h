// Validates the inputs of a PagedAttention node and makes an AttentionCall of them, or fails with an error that names it.
#pragma once

#include "kernels.h"
#include "runtime.h"

namespace youtu {

struct AttentionAttributes {
  explicit AttentionAttributes(const Node&);
  int heads, kv_heads;
  float scale;            // 0 = 1 / sqrt(width)
  bool latent;
  int value_width;        // 0 = the width of the key
  bool rotary;
  int rope_offset;
  bool interleaved;
  int window;             // 0 = unlimited
  bool causal, bidirectional_prefix;
  float softcap;
};

// Ragged tokens of a step: sequence b owns [cumulative[b], cumulative[b + 1]) and has past[b] tokens in the cache.
struct Ragged {
  size_t tokens, sequences;
  const int32_t* cumulative;
  const int32_t* past;
  const int32_t* slots;   // null: derived from the block table

  int count(size_t b) const { return cumulative[b + 1] - cumulative[b]; }
};

// Checks everything before anything is written. The caller sets `call.output`.
void read_attention_inputs(const Context&, const AttentionAttributes&, AttentionCall& call, Ragged& ragged);

}  // namespace youtu
