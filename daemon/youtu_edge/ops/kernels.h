// The interface between the operators (validation, planning, threads) and the kernels (one source,
// compiled once per instruction set). Plain data and pointers only: an inline function here could be
// linked from the wrong instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace youtu {

// The arguments shared by all tasks of one PagedAttention call. Strides are in elements.
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
  bool bidirectional_prefix;   // new tokens without past tokens attend to each other, regardless of `causal`
  float* output;           // [tokens, heads * value_width]
};

// A range of query tokens of one sequence, of its heads and of its keys.
//
//   keys      key_begin ........ key_end          (absolute positions; split between tasks at multiples of kSegment only)
//   queries       token_begin .. token_end        (rows of the packed input; the first is at `position`)
//   heads     for each kv head in kv_begin .. kv_end, those `group` of its heads from `group_begin` on
struct AttentionTask {
  int sequence;
  int token_begin, token_end;
  int position;
  int last_position;       // of the sequence after this call; the end of a bidirectional chunk's keys
  bool causal;             // else bidirectional
  int kv_begin, kv_end;
  int group_begin, group;
  int key_begin, key_end;
  bool partial;            // its result is rows x [value_width | maximum | sum] for each segment, else rows x [value_width]
  size_t partial_begin;    // offset among all partial results, in floats
  size_t partial_stride;   // floats from one segment to the next
};

// Rows of a quantised matrix interleaved in the file, and rows of activations interleaved in memory.
constexpr size_t kTileRows = 16, kRowGroup = 8;

// The arguments shared by all tasks of one Linear call. The layout of a matrix: docs/package-format.md.
struct LinearCall {
  int bits;                    // 4 or 8
  size_t block;                // values that share a scale
  size_t k;                    // values of an input row of one head
  size_t heads, tiles_per_head;
  const uint8_t* codes;        // [heads * tiles_per_head, k * bits / 32, kTileRows, 4]
  const uint16_t* scales;      // float16 [heads * tiles_per_head, k / block, kTileRows]
  const uint8_t* zero_points;  // the same shape; null: half of the range of the codes
  const uint16_t* minimums;    // float16, the same shape; null without
  // In groups of kRowGroup rows, the last one with the remainder; the R rows of a group are interleaved:
  const int8_t* activations;              // [heads * k / 4, R, 4]
  const float* activation_scales;         // [heads * k / block, R]
  const float* activation_negative_sums;  // minus the sum of the codes
  const float* activation_totals;         // of the values
};

// A part of the work: tiles, numbered across all heads, and whole groups of rows.
struct TileRange {
  size_t tile_begin, tile_end, row_begin, row_end;
};

struct Kernels {
  const char* name;

  // Rotates and stores the key (and value) of one token into the cache row `slot`.
  void (*store_token)(const AttentionCall&, size_t token, int position, size_t slot);
  // Row r of the result is kv head r / per_head, token r % per_head / group, head r % group of the task's heads.
  void (*attend)(const AttentionCall&, const AttentionTask&, float* scratch, float* result);
  // Merges the `count` segments of a range of rows into the output; `task` is the first one of the tile.
  void (*merge)(const AttentionCall&, const AttentionTask&, const float* partials, size_t count, size_t row_begin,
                size_t row_end);

  // output [rows of the range, tiles of the range * kTileRows], even if the last tile of a head is partial
  void (*multiply)(const LinearCall&, const TileRange&, float* output);
  // x [rows, width] of one group -> codes, and for each block the scale, minus the sum of the codes, the sum of the values
  void (*quantise)(const float* x, size_t rows, size_t width, size_t block, int8_t* codes, float* scales,
                   float* negative_sums, float* totals);
  // input [rows, 2 * width] = [gate | up] -> output [rows, width]
  void (*swiglu)(const float* input, float* output, size_t rows, size_t width);
  // the same with gelu(gate)
  void (*geglu)(const float* input, float* output, size_t rows, size_t width);
  // y[row] = x[row] / rms * gain; with `residual` of x + residual, which goes to `total`. All [rows, width].
  void (*rms_norm)(const float* x, const float* residual, const float* gain, float epsilon, float* total, float* output,
                   size_t rows, size_t width);
};

// Numbers of query rows (tokens x heads of one task) and keys processed together. Blocks and segments are aligned to
// multiples of their size in absolute position, whatever the batch, so that a row's sums always have the same order.
constexpr int kMaxTaskRows = 64;
constexpr int kKeyBlock = 64;
constexpr int kSegment = 256;
constexpr int kMaxWidth = 4096;

// Scratch in floats that `attend` needs for a task with this many rows.
size_t attend_scratch(const AttentionCall&, int rows);

// The instruction set in use: the best that this processor supports, or the one selected by name.
const Kernels& kernels();

}  // namespace youtu
