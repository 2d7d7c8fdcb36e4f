// PagedAttention for one task: flash attention over blocks of keys.
//
//                 keys of a block
//               +---------------+
//   query rows  | scores        |  -> probabilities, with a running maximum and sum per row
//               +---------------+         . values -> sums [rows, value_width]
//
// Query rows are (token, head) pairs of one kv head, all of which share each key. A block is read in one of two ways, with
// identical results: few rows read the cache directly; for more rows the block is widened to a float tile once.
//
// Batch invariance. A row processes its keys in blocks at fixed absolute positions: blocks are accumulated within a
// segment, and segments are merged in order (`fold`). Key i of a block is always at index i: masked keys (later tokens,
// keys before the window, dropped pages) have probability 0, which changes no sum.
#pragma once

#include "attention_rows.h"
#include "attention_workspace.h"
#include "gemm.h"

namespace youtu::YOUTU_ISA {

constexpr int kDirectRows = 7;  // up to this many, widening per row group is faster than a tile
constexpr float kMaximumSlack = 8.0f;

struct Workspace {
  float *query, *sums, *maximum, *total;        // of the current segment
  float *all_sums, *all_maximum, *all_total;    // of the segments before it, merged
  float *scores, *keys, *values;
  size_t query_stride, sums_stride;

  Seen all(size_t row) const { return {all_sums + row * sums_stride, all_maximum + row, all_total + row}; }
};

static Workspace lay_out(const AttentionCall& c, size_t rows, float* scratch) {
  const WorkspaceLayout l = workspace_layout(c, rows);
  Workspace w;
  w.query_stride = l.query_stride;
  w.sums_stride = l.sums_stride;
  w.query = scratch + l.query;
  w.sums = scratch + l.sums;
  w.all_sums = scratch + l.all_sums;
  w.maximum = scratch + l.maximum;
  w.total = scratch + l.total;
  w.all_maximum = scratch + l.all_maximum;
  w.all_total = scratch + l.all_total;
  w.scores = scratch + l.scores;
  w.keys = scratch + l.keys;
  w.values = scratch + l.values;
  return w;
}

// Keys `begin`..`end` of the block at absolute position `base`. For a missing key (a dropped page) the row of another key
// is used; its score is masked.
template <class T>
struct KeyBlock {
  int base, begin, end;
  bool holes;
  bool present[kKeyBlock];
  size_t slot[kKeyBlock];
  const T* key[kKeyBlock];
  const T* value[kKeyBlock];
};

// The keys of [from, to) that are in the cache; false if there are none.
template <class T>
static bool collect(const AttentionCall& c, const AttentionTask& t, int base, int from, int to, KeyBlock<T>& block) {
  const int32_t* table = c.block_table + size_t(t.sequence) * c.table_width;
  block.base = base;
  block.begin = block.end = 0;
  bool found = false;
  int count = 0;
  for (int position = from; position < to;) {
    const int page = position / c.page_tokens, offset = position - page * c.page_tokens;
    int run = c.page_tokens - offset;
    if (run > to - position) run = to - position;
    const bool present = table[page] >= 0;
    const size_t slot = present ? size_t(table[page]) * c.page_tokens + offset : 0;
    for (int i = 0; i < run; ++i, ++position) {
      block.present[position - base] = present;
      block.slot[position - base] = slot + i;
    }
    if (!present) continue;
    if (!found) block.begin = position - run - base;
    found = true;
    block.end = position - base;
    count += run;
  }
  block.holes = count != block.end - block.begin;
  return found;
}

template <class T>
static void point(const AttentionCall& c, int kv_head, KeyBlock<T>& block) {
  const T* keys = static_cast<const T*>(c.key_cache);
  const T* values = static_cast<const T*>(c.value_cache);
  for (int i = block.begin; i < block.end; ++i) {
    const size_t row = block.slot[block.present[i] ? i : block.begin] * c.kv_heads + kv_head;
    block.key[i] = keys + row * c.width;
    block.value[i] = values + row * (c.latent ? c.width : c.value_width);
  }
}

template <class T>
static void widen_rows(const T* const* rows, int count, int width, float* tile, size_t stride) {
  for (int r = 0; r < count; ++r) {
    float* target = tile + r * stride;
    int i = 0;
    for (; i + kWidth <= width; i += kWidth) store(target + i, load(rows[r] + i));
    for (; i < width; ++i) target[i] = widen(rows[r][i]);
    for (; i < int(stride); ++i) target[i] = 0.0f;
  }
}

// cap * tanh(s / cap), tanh(x) = 1 - 2 / (exp(2x) + 1)
static void cap_scores(const AttentionCall& c, float* scores, int begin, int end) {
  for (int i = begin; i < end; i += kWidth) {
    const V s = load(scores + i);
    store(scores + i, splat(c.softcap) * (splat(1.0f) - splat(2.0f) / (exp(s * splat(2.0f / c.softcap)) + splat(1.0f))));
  }
}

// Scores -> exp(score - maximum) for the keys [begin, end), which are visible to this row; exactly 0 for the others.
//
// The running maximum only moves when a score exceeds it by more than kMaximumSlack: exp() of the slack does not
// overflow a float, and after the products, rescaling the sums is the largest cost of a block.
template <class T>
static void softmax_row(const AttentionCall& c, const KeyBlock<T>& block, float* scores, int begin, int end, float* sums,
                        size_t sums_stride, float& maximum, float& total) {
  const int first = block.begin / 16 * 16, padded = int(round_up(block.end, 16));
  const float minus_infinity = -__builtin_inff();
  if (c.softcap > 0.0f) cap_scores(c, scores, first, padded);
  for (int i = first; i < begin; ++i) scores[i] = minus_infinity;
  for (int i = end; i < padded; ++i) scores[i] = minus_infinity;
  if (block.holes)
    for (int i = begin; i < end; ++i)
      if (!block.present[i]) scores[i] = minus_infinity;
  V top = load(scores + first);
  for (int i = first + kWidth; i < padded; i += kWidth) top = max(top, load(scores + i));
  const float block_maximum = highest(top);
  if (block_maximum == minus_infinity) {  // all keys are masked
    for (int i = first; i < padded; ++i) scores[i] = 0.0f;
    return;
  }
  if (!(block_maximum <= maximum + kMaximumSlack)) {
    if (total != 0.0f) {
      float factor[kWidth];
      store(factor, exp(splat(maximum - block_maximum)));
      total *= factor[0];
      for (size_t i = 0; i < sums_stride; i += kWidth) store(sums + i, load(sums + i) * splat(factor[0]));
    }
    maximum = block_maximum;
  }
  Sixteen added = sixteen_zeros();
  for (int i = first; i < padded; i += 16)
    for (int l = 0; l < kLaneVectors; ++l) {
      const V p = exp(load(scores + i + l * kWidth) - splat(maximum));
      store(scores + i + l * kWidth, p);
      added.v[l] = added.v[l] + p;
    }
  total += sum(added);
}

// One block of keys for the rows of one kv head.
template <class T>
static void attend_block(const AttentionCall& c, const AttentionTask& t, const Workspace& w, KeyBlock<T>& block,
                         int head_index) {
  const int per_head = int(rows_per_head(t)), n = block.end - block.begin;
  point(c, t.kv_begin + head_index, block);

  // Causal rows before the first key of the block see none of its keys; they are the leading rows.
  const int first_key = block.base + block.begin;
  const int first = t.causal && first_key > t.position ? (first_key - t.position) * t.group : 0;
  if (first >= per_head) return;
  const int rows = per_head - first, offset = head_index * per_head + first;
  const float* query = w.query + offset * w.query_stride;
  float* sums = w.sums + offset * w.sums_stride;
  float* scores = w.scores + block.begin;

  const bool direct = rows <= kDirectRows && c.width % 16 == 0 && c.value_width % kWidth == 0;
  if (direct) {
    dot_rows(query, w.query_stride, rows, block.key + block.begin, n, c.width, scores, kKeyBlock);
  } else {
    const float* keys[kKeyBlock];
    widen_rows(block.key + block.begin, n, c.width, w.keys, w.query_stride);
    for (int i = 0; i < n; ++i) keys[i] = w.keys + i * w.query_stride;
    dot_rows(query, w.query_stride, rows, keys, n, w.query_stride, scores, kKeyBlock);
  }

  for (int r = 0; r < rows; ++r) {
    const int position = t.position + (first + r) / t.group;
    const int last = t.causal ? position : t.last_position;
    int begin = block.begin, end = block.end;
    if (c.window > 0 && position - c.window + 1 - block.base > begin) begin = position - c.window + 1 - block.base;
    if (last + 1 - block.base < end) end = last + 1 - block.base;
    if (begin > end) begin = end;
    softmax_row(c, block, w.scores + r * kKeyBlock, begin, end, sums + r * w.sums_stride, w.sums_stride,
                w.maximum[offset + r], w.total[offset + r]);
  }

  if (direct) {
    gemm(scores, kKeyBlock, rows, Scattered<T>{block.value + block.begin}, c.value_width, n, sums, w.sums_stride);
  } else if (c.latent) {
    gemm(scores, kKeyBlock, rows, Dense<float>{w.keys, w.query_stride}, round_up(c.value_width, kWidth), n, sums,
         w.sums_stride);
  } else {
    widen_rows(block.value + block.begin, n, c.value_width, w.values, w.sums_stride);
    gemm(scores, kKeyBlock, rows, Dense<float>{w.values, w.sums_stride}, round_up(c.value_width, kWidth), n, sums,
         w.sums_stride);
  }
}

// All blocks of the keys [from, to), which lie in one segment.
template <class T>
static void attend_segment(const AttentionCall& c, const AttentionTask& t, const Workspace& w, size_t rows, int from, int to) {
  for (size_t i = 0; i < rows * w.sums_stride; i += kWidth) store(w.sums + i, splat(0.0f));
  for (size_t r = 0; r < rows; ++r) {
    w.maximum[r] = -__builtin_inff();
    w.total[r] = 0.0f;
  }
  const int size = c.width > 256 ? kKeyBlock / 2 : kKeyBlock;  // a tile of wide rows must fit the CPU cache
  KeyBlock<T> block;
  for (int base = from / size * size; base < to; base += size) {
    const int begin = from > base ? from : base, end = to < base + size ? to : base + size;
    if (!collect(c, t, base, begin, end, block)) continue;
    for (int h = 0; h < t.kv_end - t.kv_begin; ++h) attend_block(c, t, w, block, h);
  }
}

template <class T>
static void attend_as(const AttentionCall& c, const AttentionTask& t, float* scratch, float* result) {
  const size_t rows = rows_of(t);
  const Workspace w = lay_out(c, rows, scratch);
  load_query_rows(c, t, w.query, w.query_stride);
  for (size_t r = 0; r < rows; ++r) w.all_total[r] = 0.0f;
  const int first = t.key_begin / kSegment;
  const bool single = !t.partial && t.key_end <= (first + 1) * kSegment;
  for (int segment = first; segment * kSegment < t.key_end; ++segment) {
    const int begin = segment * kSegment, end = begin + kSegment;
    attend_segment<T>(c, t, w, rows, t.key_begin > begin ? t.key_begin : begin, t.key_end < end ? t.key_end : end);
    for (size_t r = 0; r < rows; ++r) {
      const float* sums = w.sums + r * w.sums_stride;
      if (t.partial) {
        float* row = result + (segment - first) * t.partial_stride + r * (c.value_width + 2);
        std::memcpy(row, sums, c.value_width * sizeof(float));
        row[c.value_width] = w.maximum[r];
        row[c.value_width + 1] = w.total[r];
      } else if (single) {
        store_mean(sums, w.total[r], c.value_width, result + r * c.value_width);
      } else {
        fold(w.all(r), sums, w.maximum[r], w.total[r], c.value_width);
      }
    }
  }
  if (t.partial || single) return;
  for (size_t r = 0; r < rows; ++r) {
    if (w.all_total[r] == 0.0f) std::memset(w.all(r).sums, 0, c.value_width * sizeof(float));
    store_mean(w.all(r).sums, w.all_total[r], c.value_width, result + r * c.value_width);
  }
}

static void attend(const AttentionCall& c, const AttentionTask& t, float* scratch, float* result) {
  c.half_cache ? attend_as<half>(c, t, scratch, result) : attend_as<float>(c, t, scratch, result);
}

}  // namespace youtu::YOUTU_ISA
