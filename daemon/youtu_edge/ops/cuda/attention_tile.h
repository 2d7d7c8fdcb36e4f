// The tiles of PagedAttention: which query rows, keys and segments a thread block has, and what its threads share.
#pragma once

#include "attention_rows.h"

namespace youtu::cuda {

constexpr int kTileRows = 16;                       // of a fragment
constexpr int kAttendWarps = kAttendThreads / kWarp;
constexpr int kWarpChannels = 64;                   // of the values, that a warp sums
constexpr int kScoreStride = kSegment + 4, kWeightStride = kSegment + 16, kPartStride = kWarpChannels + 4;

struct AttentionCut {
  int tile_tokens;     // tokens of one sequence that share a tile
  int part;            // heads of a group in a tile
  int parts;           // of a group
  int tiles;           // at least those of all sequences
  int segments;        // of the longest sequence
  int splits, step;    // step: segments of a split
  int64_t row_floats;  // of a partial result: value_width sums, maximum, total
};

struct AttendCall {
  Attention c;
  AttentionCut cut;
  float* partials;  // [tiles, kv_heads * parts, segments, kTileRows, row_floats]
};

// The rows of one tile.
struct Tile {
  bool there;
  int sequence, token, tokens;    // from `token` on
  int position;                   // of the first
  int last;                       // the last position that anything of the sequence sees when not causal
  bool causal;
  int kv_head, head, heads;       // from `head` on
  int key_begin, key_end;         // that any row sees

  YOUTU_DEVICE int rows() const { return tokens * heads; }
  YOUTU_DEVICE int token_of(int row) const { return row / heads; }
};

YOUTU_DEVICE Tile find_tile(const Attention& c, const AttentionCut& cut) {
  Tile t{};
  int index = int(blockIdx.x);
  for (int b = 0; b < c.sequences; ++b) {
    const int begin = load1(c.cumulative + b), count = load1(c.cumulative + b + 1) - begin;
    const int tiles = int(divide_up(size_t(count), size_t(cut.tile_tokens)));
    if (index >= tiles) {
      index -= tiles;
      continue;
    }
    const int first = index * cut.tile_tokens, past = load1(c.past + b);
    t.there = true;
    t.sequence = b;
    t.token = begin + first;
    t.tokens = count - first < cut.tile_tokens ? count - first : cut.tile_tokens;
    t.position = past + first;
    t.last = past + count - 1;
    t.causal = c.causal && !(c.bidirectional_prefix && past == 0);
    break;
  }
  const int group = c.heads / c.kv_heads, part = int(blockIdx.y) % cut.parts;
  t.kv_head = int(blockIdx.y) / cut.parts;
  t.head = t.kv_head * group + part * cut.part;
  t.heads = group - part * cut.part < cut.part ? group - part * cut.part : cut.part;
  t.key_begin = c.window > 0 && t.position - c.window + 1 > 0 ? t.position - c.window + 1 : 0;
  t.key_end = 1 + (t.causal ? t.position + t.tokens - 1 : t.last);
  return t;
}

// Rows of queries begin 16 banks apart, so that the eight lanes of a load meet in no bank.
YOUTU_HD int query_stride(int width) { return int(round_up(size_t(width), 64)) + 32; }

struct AttendShared {
  uint16_t *query, *query_rest;       // float16 [16, stride]: x = (query + query_rest) * query_scale of its row
  float* query_scale;                 // [16]: powers of two
  float* scores;                      // [16, kScoreStride]
  uint16_t *weights, *weights_rest;   // float16 [16, kWeightStride]: what softmax makes of the scores, times kWeightScale
  float* parts;                       // [warps, 16, kPartStride], over scores and weights: sums of a segment
  float *all_maximum, *all_total;     // [16], of the segments before this one
  float *maximum, *total;             // [16], of this one
  Join* joins;                        // [16], of this one
  Tile* tile;                         // here it takes no registers
  int* slots;                         // [256]
  int stride;

  YOUTU_DEVICE AttendShared(char* memory, int width) : stride(query_stride(width)) {
    parts = scores = reinterpret_cast<float*>(memory);
    weights = reinterpret_cast<uint16_t*>(scores + kTileRows * kScoreStride);
    weights_rest = weights + kTileRows * kWeightStride;
    query_scale = parts + kAttendWarps * kTileRows * kPartStride;
    all_maximum = query_scale + kTileRows;
    all_total = all_maximum + kTileRows;
    maximum = all_total + kTileRows;
    total = maximum + kTileRows;
    slots = reinterpret_cast<int*>(total + kTileRows);
    query = reinterpret_cast<uint16_t*>(slots + kSegment);
    query_rest = query + kTileRows * stride;
    joins = reinterpret_cast<Join*>(query_rest + kTileRows * stride);
    tile = reinterpret_cast<Tile*>(joins + kTileRows);
  }
};
static_assert(kTileRows * (kScoreStride * 4 + kWeightStride * 4) <= kAttendWarps * kTileRows * kPartStride * 4);

YOUTU_HD size_t shared_attend(int width) {
  const size_t floats = kAttendWarps * kTileRows * kPartStride + 5 * kTileRows + kSegment;
  return floats * sizeof(float) + 2 * kTileRows * size_t(query_stride(width)) * sizeof(uint16_t) + kTileRows * sizeof(Join) +
         sizeof(Tile);
}

YOUTU_DEVICE float* output_row(const Attention& c, const Tile& t, int row) {
  return c.output + (int64_t(t.token + t.token_of(row)) * c.heads + t.head + row % t.heads) * c.value_width;
}

}  // namespace youtu::cuda
