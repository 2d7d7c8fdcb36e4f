// The seam between the operators (checking, planning, threads) and the arithmetic (one source,
// compiled once per instruction set). Plain data and pointers only: nothing here may become an inline
// function that the linker could take from the wrong instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace youtu {

// Everything that is the same for all tasks of one PagedAttention call. Strides count elements.
struct AttentionCall {
  const float* query;
  const float* key;
  const float* value;      // null for LATENT
  size_t query_stride, key_stride, value_stride;
  void* key_cache;         // [pages * page_tokens, kv_heads, width]
  void* value_cache;       // the same memory as key_cache for LATENT
  bool half_cache;         // float16, else float
  bool latent;
  const int32_t* block_table;
  size_t table_width;
  int page_tokens;
  const float* cos;        // [positions, rope_half]; null without rotary
  const float* sin;
  int rope_half, rope_offset;
  bool interleaved;
  int heads, kv_heads, group;   // group = heads per kv head
  int width, value_width;
  float scale, softcap;
  int window;              // 0 = unlimited
  bool causal;
  bool bidirectional_prefix;   // new tokens with none before them see each other, whatever `causal` says
  float* output;           // [tokens, heads * value_width]
};

// Some query tokens of one sequence, some kv heads, some of the keys.
//
//   keys      key_begin ........ key_end          (absolute positions)
//   queries       token_begin .. token_end        (rows of the packed input; the first is at `position`)
struct AttentionTask {
  int sequence;
  int token_begin, token_end;
  int position;
  int last_position;       // of the sequence after this call; what a bidirectional chunk sees
  bool causal;             // else bidirectional
  int kv_begin, kv_end;
  int key_begin, key_end;
  float* partial;          // null: write the output. Else rows x [value_width | maximum | sum]
};

struct Kernels {
  const char* name;

  // Rotates and stores the key (and value) of one token into the cache row `slot`.
  void (*store_token)(const AttentionCall&, size_t token, int position, size_t slot);
  void (*attend)(const AttentionCall&, const AttentionTask&, float* scratch);
  // Joins `count` partial results that lie `stride` floats apart into the output.
  void (*merge)(const AttentionCall&, const AttentionTask&, const float* partials, size_t count, size_t stride);

  // input [rows, 2 * width] = [gate | up] -> output [rows, width]
  void (*swiglu)(const float* input, float* output, size_t rows, size_t width);

  // sums[row, b] = sum of x[row, b * block .. (b + 1) * block)
  void (*block_sums)(const float* x, float* sums, size_t rows, size_t blocks, size_t block);
  // output[row, begin..end) = y + sums @ mins; output may be y
  void (*block_min_add)(const float* sums, const uint16_t* mins, const float* y, float* output, size_t rows,
                        size_t blocks, size_t columns, size_t begin, size_t end);

  // output[row, n] = sum_k x[row, k] * weight[n, k] * scales[n, k / block] for one head, n in [begin, end).
  // scratch: k * 64 floats.
  void (*headwise)(const float* x, size_t x_stride, const int8_t* weight, const float* scales, float* output,
                   size_t output_stride, size_t rows, size_t k, size_t block, size_t begin, size_t end, float* scratch);
};

// Query rows (tokens x heads of one task) and keys that are worked on together.
constexpr int kMaxTaskRows = 64;
constexpr int kKeyBlock = 64;
constexpr int kMaxWidth = 4096;

// Floats of scratch that `attend` needs for a task of that many rows.
size_t attend_scratch(const AttentionCall&, int rows);

// The instruction set in use: the best that this processor has, or the one selected by name.
const Kernels& kernels();

}  // namespace youtu
