#include "operators.h"

#include <algorithm>

#include "stream_state.h"

namespace youtu::cuda {
namespace {

constexpr size_t kAlignment = 256;
size_t padded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void check_width(const Tensor& x, const char* name, int64_t width) {
  if (x.shape[1] != width)
    refuse(std::string(name) + " has shape " + describe_shape(x) + ", expected [T, " + std::to_string(width) + "]");
}

// Activations of eight bits in scratch: | codes | scales | minus the sums of the codes | sums of the values |
YoutuActivations quantised(StreamState& state, const float* x, int64_t rows, int64_t width, int32_t block, void* stream) {
  const size_t codes = padded(size_t(rows * width)), part = padded(size_t(rows * (width / block)) * sizeof(float));
  char* const scratch = state.scratch(codes + 3 * part);
  float* const floats = reinterpret_cast<float*>(scratch + codes);
  const YoutuActivations activations{reinterpret_cast<int8_t*>(scratch), floats, floats + part / sizeof(float),
                                     floats + 2 * part / sizeof(float)};
  check(youtu_cuda_quantise(x, rows, width, block, &activations, stream), "rounding activations");
  return activations;
}

void compute_gated(const Context& context, decltype(youtu_cuda_swiglu)* launch, const char* name) {
  const Tensor input = context.input(0, "input", {kFloat}, 2);
  if (input.shape[1] % 2 != 0) refuse("input has shape " + describe_shape(input) + ", expected an even width [gate | up]");
  const int64_t width = input.shape[1] / 2;
  float* const output = context.output(0, {input.shape[0], width});
  check(launch(input.as<float>(), output, input.shape[0], width, context.gpu_stream()), name);
}

}  // namespace

void Linear::compute(const Context& context) {
  const YoutuMatrix& m = matrix.view();
  const Tensor x = context.input(0, "x", {kFloat}, 2);
  check_width(x, "x", m.heads * m.k);
  const int64_t rows = x.shape[0];
  float* const y = context.output(0, {rows, m.heads * m.rows});
  if (rows == 0) return;
  void* const stream = context.gpu_stream();
  const YoutuActivations a = quantised(StreamState::of(stream), x.as<float>(), rows, m.heads * m.k, m.block, stream);
  check(youtu_cuda_linear(&m, &a, rows, y, stream), "multiplying");
}

void Embedding::compute(const Context& context) {
  const Tensor ids = context.input(0, "ids", {kInt64}, 1);
  host.check_ids(ids);
  const int64_t count = ids.shape[0];
  float* const output = context.output(0, {count, matrix.view().k});
  if (count == 0) return;
  void* const stream = context.gpu_stream();
  const void* const copied = StreamState::of(stream).copied(kIds, ids.data, size_t(count) * sizeof(int64_t));
  check(youtu_cuda_embedding(&matrix.view(), static_cast<const int64_t*>(copied), count, output, stream), "looking up rows");
}

void SwiGLU::compute(const Context& context) { compute_gated(context, youtu_cuda_swiglu, kName); }

void GeGLU::compute(const Context& context) { compute_gated(context, youtu_cuda_geglu, kName); }

DeviceNorm::DeviceNorm(const Node& node, size_t gain_input) {
  const NormWeights host(node, gain_input);
  epsilon = host.epsilon;
  width = int64_t(host.width);
  gain = on_device(host.gain, host.width * sizeof(float));
}

void RmsNorm::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2);
  check_width(x, "x", norm.width);
  float* const output = context.output(0, {x.shape[0], x.shape[1]});
  check(youtu_cuda_rms_norm(x.as<float>(), nullptr, static_cast<const float*>(norm.gain.get()), norm.epsilon, nullptr,
                            output, x.shape[0], norm.width, context.gpu_stream()),
        "RmsNorm");
}

void AddRmsNorm::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2), residual = context.input(1, "residual", {kFloat}, 2);
  check_width(x, "x", norm.width);
  if (residual.shape != x.shape) refuse("x " + describe_shape(x) + " and residual " + describe_shape(residual) + " differ");
  float* const output = context.output(0, {x.shape[0], x.shape[1]});
  float* const total = context.output(1, {x.shape[0], x.shape[1]});
  check(youtu_cuda_rms_norm(x.as<float>(), residual.as<float>(), static_cast<const float*>(norm.gain.get()), norm.epsilon,
                            total, output, x.shape[0], norm.width, context.gpu_stream()),
        "AddRmsNorm");
}

void PagedAttention::compute(const Context& context) {
  AttentionCall checked{};
  Ragged ragged{};
  read_attention_inputs(context, attributes_, checked, ragged);
  if (!checked.half_cache) refuse("key_cache is a tensor of float, expected float16: GPUs have no other cache");
  float* const output = context.output(0, {int64_t(ragged.tokens), int64_t(checked.heads) * checked.value_width});
  if (ragged.tokens == 0) return;
  void* const stream = context.gpu_stream();
  StreamState& state = StreamState::of(stream);
  const auto copied = [&](StepInput input, const int32_t* host, size_t count) {
    return host == nullptr ? nullptr : static_cast<const int32_t*>(state.copied(input, host, count * sizeof(int32_t)));
  };

  YoutuAttention call{};
  call.query = checked.query;
  call.key = checked.key;
  call.value = checked.value;
  call.key_cache = static_cast<uint16_t*>(checked.key_cache);
  call.value_cache = checked.latent ? nullptr : static_cast<uint16_t*>(checked.value_cache);
  call.cumulative = copied(kCumulative, ragged.cumulative, ragged.sequences + 1);
  call.past = copied(kPast, ragged.past, ragged.sequences);
  call.block_table = copied(kBlockTable, checked.block_table, ragged.sequences * checked.table_width);
  call.slots = copied(kSlots, ragged.slots, ragged.tokens);
  call.cos = checked.cos;
  call.sin = checked.sin;
  call.output = output;
  call.query_stride = int64_t(checked.query_stride);
  call.key_stride = int64_t(checked.key_stride);
  call.value_stride = int64_t(checked.value_stride);
  call.tokens = int64_t(ragged.tokens);
  call.sequences = int64_t(ragged.sequences);
  call.table_width = int64_t(checked.table_width);
  for (size_t b = 0; b < ragged.sequences; ++b)
    call.max_total = std::max(call.max_total, int64_t(ragged.past[b]) + ragged.count(b));
  call.page_tokens = checked.page_tokens;
  call.heads = checked.heads;
  call.kv_heads = checked.kv_heads;
  call.width = checked.width;
  call.value_width = checked.value_width;
  call.rope_half = checked.rope_half;
  call.rope_offset = checked.rope_offset;
  call.interleaved = checked.interleaved;
  call.window = checked.window;
  call.causal = checked.causal;
  call.bidirectional_prefix = checked.bidirectional_prefix;
  call.scale = checked.scale;
  call.softcap = checked.softcap;
  const int64_t bytes = youtu_cuda_attention_workspace(&call);
  if (bytes < 0) refuse("sizes that the CUDA kernel does not support: docs/cuda.md has the limits");
  call.workspace = bytes > 0 ? state.scratch(size_t(bytes)) : nullptr;
  check(youtu_cuda_attention(&call, stream), "attending");
}

}  // namespace youtu::cuda
