#include "attention_inputs.h"

#include <cmath>

namespace youtu {
namespace {

// Input indices of ONNX Runtime's com.microsoft::PagedAttention.
enum Input : size_t {
  kQuery, kKey, kValue, kKeyCache, kValueCache, kCumulative, kPast, kBlockTable, kCos, kSin, kSlots,
  kHeadSink, kQueryNorm, kKeyNorm, kKeyScale, kValueScale, kMetadata,
};

std::string number(int64_t value) { return std::to_string(value); }

int ranged(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    refuse(std::string("attribute ") + name + " is " + number(value) + ", expected " + number(low) + " to " +
           number(high));
  }
  return int(value);
}

void check_plain_cache(const Node& a) {
  for (const char* name : {"k_quant_type", "v_quant_type"})
    if (a.text(name, "NONE") != "NONE") refuse(std::string(name) + " is not supported: use a float or float16 cache");
  for (const char* name : {"k_cache_dtype", "v_cache_dtype"}) {
    const std::string type = a.text(name, "");
    if (!type.empty() && type != "float16" && type != "float")
      refuse(std::string(name) + " '" + type + "' is not supported: use a float or float16 cache");
  }
}

void refuse_unsupported(const Context& context) {
  static constexpr struct { Input index; const char* name; } kUnsupported[] = {
      {kHeadSink, "head_sink"}, {kQueryNorm, "q_norm_weight"}, {kKeyNorm, "k_norm_weight"},
      {kKeyScale, "k_scale"}, {kValueScale, "v_scale"},
  };
  for (const auto& input : kUnsupported)
    if (context.has_input(input.index)) refuse(std::string(input.name) + " is not supported");
}

void expect(bool fits, const char* name, const Tensor& tensor, const std::string& expected) {
  if (!fits) refuse(std::string(name) + " has shape " + describe_shape(tensor) + ", expected " + expected);
}

void required(const Tensor& tensor, const char* name) {
  if (!tensor) refuse(std::string(name) + " is required");
}

void read_caches(const Context& context, const AttentionAttributes& a, AttentionCall& call, int64_t* rows) {
  const Tensor keys = context.input(kKeyCache, "key_cache", {kFloat, kFloat16}, 4);
  required(keys, "key_cache");
  if (keys.shape[2] != a.kv_heads || keys.shape[1] < 1 || keys.shape[3] < 1 || keys.shape[3] > kMaxWidth) {
    refuse("key_cache has shape " + describe_shape(keys) + ", expected [pages, page_tokens, " + number(a.kv_heads) +
           ", width up to " + number(kMaxWidth) + "]");
  }
  *rows = keys.shape[0] * keys.shape[1];
  if (keys.shape[0] > INT32_MAX || *rows > INT32_MAX) refuse("key_cache has more than 2147483647 slots");
  call.key_cache = call.value_cache = keys.data;
  call.half_cache = keys.type == kFloat16;
  call.page_tokens = int(keys.shape[1]);
  call.width = int(keys.shape[3]);

  const Tensor values = context.input(kValueCache, "value_cache", {kFloat, kFloat16}, 4);
  if (a.latent) {
    if (values) refuse("value_cache must be absent when kv_cache_layout is LATENT");
  } else {
    required(values, "value_cache");
    if (values.type != keys.type || values.shape != keys.shape)
      refuse("value_cache " + describe_shape(values) + " must have the type and shape of key_cache " +
             describe_shape(keys));
    call.value_cache = values.data;
  }
}

void read_activations(const Context& context, const AttentionAttributes& a, AttentionCall& call, size_t* tokens) {
  const Tensor query = context.input(kQuery, "query", {kFloat}, 2);
  const Tensor key = context.input(kKey, "key", {kFloat}, 2);
  const Tensor value = context.input(kValue, "value", {kFloat}, 2);
  required(query, "query");
  *tokens = query.shape[0];
  const int64_t width = call.width, q = a.heads * width, kv = a.kv_heads * width;
  call.query = query.as<float>();
  call.query_stride = query.shape[1];
  if (a.latent) {
    if (value) refuse("value must be absent when kv_cache_layout is LATENT");
    required(key, "key (LATENT has no packed form)");
  } else if (!key) {
    if (value) refuse("value is given without key");
    expect(query.shape[1] == q + 2 * kv, "query", query, "packed QKV [tokens, " + number(q + 2 * kv) + "]");
    call.key = call.query + q;
    call.value = call.key + kv;
    call.key_stride = call.value_stride = call.query_stride;
    return;
  } else {
    required(value, "value");
  }
  expect(query.shape[1] == q, "query", query, "[tokens, " + number(q) + "]");
  const std::string expected = "[" + number(query.shape[0]) + ", " + number(kv) + "]";
  expect(key.shape[0] == query.shape[0] && key.shape[1] == kv, "key", key, expected);
  call.key = key.as<float>();
  call.key_stride = kv;
  if (value) {
    expect(value.shape[0] == query.shape[0] && value.shape[1] == kv, "value", value, expected);
    call.value = value.as<float>();
    call.value_stride = kv;
  }
}

// Returns the number of positions in the cos and sin tables.
int64_t read_rotary(const Context& context, const AttentionAttributes& a, AttentionCall& call) {
  if (!a.rotary) return INT64_MAX;
  const Tensor cos = context.input(kCos, "cos_cache", {kFloat}, 2), sin = context.input(kSin, "sin_cache", {kFloat}, 2);
  required(cos, "cos_cache (do_rotary is 1)");
  required(sin, "sin_cache (do_rotary is 1)");
  if (cos.shape != sin.shape) refuse("cos_cache " + describe_shape(cos) + " and sin_cache " + describe_shape(sin) + " differ");
  if (a.rope_offset + 2 * cos.shape[1] > call.width) {
    refuse("rotary channels [" + number(a.rope_offset) + ", " + number(a.rope_offset + 2 * cos.shape[1]) +
           ") lie outside the head width " + number(call.width));
  }
  call.cos = cos.as<float>();
  call.sin = sin.as<float>();
  call.rope_half = int(cos.shape[1]);
  return cos.shape[0];
}

void check_sequence(const AttentionCall& call, const Ragged& ragged, size_t b, int64_t pages, int64_t positions) {
  const int64_t count = ragged.count(b), total = ragged.past[b] + count;
  const std::string who = "sequence " + number(b);
  if (ragged.past[b] < 0) refuse("past_seqlens of " + who + " is " + number(ragged.past[b]));
  if (count == 0) return;
  if (total > positions)
    refuse(who + " reaches position " + number(total - 1) + ", but cos_cache has " + number(positions) + " positions");
  const int64_t used = (total + call.page_tokens - 1) / call.page_tokens;
  if (used > int64_t(call.table_width))
    refuse("block_table is too short: " + who + " needs " + number(used) + " pages, the table has " +
           number(call.table_width));
  const int32_t* table = call.block_table + b * call.table_width;
  for (int64_t page = 0; page < used; ++page)
    if (table[page] < -1 || table[page] >= pages)
      refuse("block_table of " + who + " names page " + number(table[page]) + ", the cache has " + number(pages));
}

void read_ragged(const Context& context, AttentionCall& call, Ragged& ragged, int64_t cache_rows, int64_t positions) {
  const Tensor cumulative = context.input(kCumulative, "cumulative_sequence_length", {kInt32}, 1);
  const Tensor past = context.input(kPast, "past_seqlens", {kInt32}, 1);
  const Tensor table = context.input(kBlockTable, "block_table", {kInt32}, 2);
  const Tensor slots = context.input(kSlots, "slot_mapping", {kInt32}, 1);
  required(cumulative, "cumulative_sequence_length");
  required(past, "past_seqlens");
  required(table, "block_table");
  const int64_t batch = past.shape[0], tokens = int64_t(ragged.tokens);
  expect(cumulative.shape[0] == batch + 1, "cumulative_sequence_length", cumulative, "[" + number(batch + 1) + "]");
  expect(table.shape[0] == batch, "block_table", table, "[" + number(batch) + ", pages]");
  ragged.sequences = batch;
  ragged.cumulative = cumulative.as<int32_t>();
  ragged.past = past.as<int32_t>();
  ragged.slots = slots.as<int32_t>();
  call.block_table = table.as<int32_t>();
  call.table_width = table.shape[1];

  if (ragged.cumulative[0] != 0 || ragged.cumulative[batch] != tokens)
    refuse("cumulative_sequence_length must run from 0 to the number of tokens, " + number(tokens));
  for (int64_t b = 0; b < batch; ++b)
    if (ragged.cumulative[b + 1] < ragged.cumulative[b])
      refuse("cumulative_sequence_length falls from " + number(ragged.cumulative[b]) + " to " +
             number(ragged.cumulative[b + 1]) + " at sequence " + number(b));
  for (int64_t b = 0; b < batch; ++b) check_sequence(call, ragged, b, cache_rows / call.page_tokens, positions);
  if (!slots) return;
  expect(slots.shape[0] == tokens, "slot_mapping", slots, "[" + number(tokens) + "]");
  for (int64_t t = 0; t < tokens; ++t)
    if (ragged.slots[t] < -1 || ragged.slots[t] >= cache_rows)
      refuse("slot_mapping of token " + number(t) + " is " + number(ragged.slots[t]) + ", the cache has " +
             number(cache_rows) + " slots");
}

}  // namespace

AttentionAttributes::AttentionAttributes(const Node& a) {
  heads = ranged("num_heads", a.required_integer("num_heads"), 1, 4096);
  kv_heads = ranged("kv_num_heads", a.required_integer("kv_num_heads"), 1, 4096);
  if (heads % kv_heads != 0)
    refuse("num_heads " + number(heads) + " is not a multiple of kv_num_heads " + number(kv_heads));
  const std::string layout = a.text("kv_cache_layout", "SEPARATE");
  if (layout != "SEPARATE" && layout != "LATENT")
    refuse("kv_cache_layout is '" + layout + "', expected SEPARATE or LATENT");
  latent = layout == "LATENT";
  if (latent && kv_heads != 1) refuse("kv_num_heads must be 1 when kv_cache_layout is LATENT");
  scale = a.number("scale", 0.0f);
  value_width = ranged("v_head_size", a.integer("v_head_size", 0), 0, kMaxWidth);
  rotary = ranged("do_rotary", a.integer("do_rotary", 0), 0, 1) == 1;
  rope_offset = ranged("rotary_offset", a.integer("rotary_offset", 0), 0, kMaxWidth);
  interleaved = ranged("rotary_interleaved", a.integer("rotary_interleaved", 0), 0, 1) == 1;
  const int64_t left = a.integer("local_window_size", -1);
  if (left == 0 || left < -1) refuse("local_window_size is " + number(left) + ", expected -1 or at least 1");
  window = left < 0 || left > INT32_MAX ? 0 : int(left);
  causal = ranged("is_causal", a.integer("is_causal", 1), 0, 1) == 1;
  bidirectional_prefix = ranged("bidirectional_prefix", a.integer("bidirectional_prefix", 0), 0, 1) == 1;
  softcap = a.number("softcap", 0.0f);
  if (!(softcap >= 0.0f)) refuse("softcap must not be negative");
  check_plain_cache(a);
}

void read_attention_inputs(const Context& context, const AttentionAttributes& a, AttentionCall& call, Ragged& ragged) {
  refuse_unsupported(context);
  call.heads = a.heads;
  call.kv_heads = a.kv_heads;
  call.group = a.heads / a.kv_heads;
  call.latent = a.latent;
  call.rope_offset = a.rope_offset;
  call.interleaved = a.interleaved;
  call.window = a.window;
  call.causal = a.causal;
  call.bidirectional_prefix = a.bidirectional_prefix;
  call.softcap = a.softcap;

  int64_t cache_rows = 0;
  read_caches(context, a, call, &cache_rows);
  call.value_width = a.value_width ? a.value_width : call.width;
  if (call.value_width > call.width || (!a.latent && call.value_width != call.width))
    refuse("v_head_size " + number(a.value_width) + " does not fit a cache row of " + number(call.width));
  if (a.scale == 0.0f && call.value_width != call.width) refuse("scale is required when v_head_size differs from the width");
  call.scale = a.scale != 0.0f ? a.scale : 1.0f / std::sqrt(float(call.width));

  read_activations(context, a, call, &ragged.tokens);
  const int64_t positions = read_rotary(context, a, call);
  read_ragged(context, call, ragged, cache_rows, positions);
}

}  // namespace youtu
