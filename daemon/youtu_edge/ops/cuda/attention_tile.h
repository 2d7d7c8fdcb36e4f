// The tiles of PagedAttention: which query rows, keys and segments a thread block has, and what its threads share.
#pragma once

#include "attention_rows.h"

namespace youtu::cuda {

constexpr int kManyRows = 4, kFewRows = 2;  // of a tile
constexpr int kMostKeyBlocks = kSegment / 32;

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
  float* partials;  // [tiles, kv_heads * parts, segments, R, row_floats]
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

template <int R>
struct AttendShared {
  float* query;      // [stride / 8, R, 8]: rotated, scaled, zeros up to a multiple of 16
  float* scores;     // [256, R], later the probabilities
  float* factors;    // [8, R]: of what was summed before a block
  float *maximum, *total;          // [R], of the segment
  float *all_maximum, *all_total;  // [R], of the segments before it
  Join* joins;                     // [R], of the segment
  Tile* tile;                      // here it takes no registers, as the next one
  float* all;                      // [2 P, threads]: each thread's sums of the segments before
  int* slots;                      // [256]
  int stride;

  // What begins at a constant place comes first: its addresses take no registers.
  YOUTU_DEVICE AttendShared(char* memory, int width) : stride(int(round_up(size_t(width), 16))) {
    scores = reinterpret_cast<float*>(memory);
    factors = scores + kSegment * R;
    maximum = factors + kMostKeyBlocks * R;
    total = maximum + R;
    all_maximum = total + R;
    all_total = all_maximum + R;
    slots = reinterpret_cast<int*>(all_total + R);
    query = reinterpret_cast<float*>(slots + kSegment);
    tile = reinterpret_cast<Tile*>(query + R * stride);
    joins = reinterpret_cast<Join*>(tile + 1);
    all = reinterpret_cast<float*>(joins + R) + threadIdx.x;
  }
};

template <int R, int P>
YOUTU_HD size_t shared_attend(int width) {
  const size_t rows = round_up(size_t(width), 16) + kSegment + kMostKeyBlocks + 4, floats = R * rows + 2 * P * kAttendThreads;
  return floats * sizeof(float) + R * sizeof(Join) + sizeof(Tile) + kSegment * sizeof(int);
}

YOUTU_DEVICE float* output_row(const Attention& c, const Tile& t, int row) {
  return c.output + (int64_t(t.token + t.token_of(row)) * c.heads + t.head + row % t.heads) * c.value_width;
}

}  // namespace youtu::cuda
