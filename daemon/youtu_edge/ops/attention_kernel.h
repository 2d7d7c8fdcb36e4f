// PagedAttention for one task: flash attention over blocks of visible keys.
//
//                 keys of a block (dropped pages are skipped, so they need not be neighbours)
//               +---------------+
//   query rows  | scores        |  -> probabilities, with a running maximum and sum per row
//               +---------------+         . values -> sums [rows, value_width]
//
// Query rows are (token, head) pairs of one kv head, all of which share each key.  How a block is read:
//
//   few rows      straight from the cache, dot products along the width
//   more          widened once to a float tile, dot products along the width
//   many          widened and transposed to a float tile, gemm
#pragma once

#include "attention_rows.h"
#include "gemm.h"

namespace youtu::YOUTU_ISA {

constexpr int kDirectRows = 7;      // up to here, widening again per row group beats a tile
constexpr int kTransposeRows = 24;  // from here on, transposing pays
constexpr float kMaximumSlack = 8.0f;

struct Workspace {
  float *query, *sums, *maximum, *total, *scores, *keys, *values;
  size_t query_stride, sums_stride;
};

// The layout whose size attend_scratch() gives.
static Workspace lay_out(const AttentionCall& c, size_t rows, float* scratch) {
  Workspace w;
  w.query_stride = round_up(c.width, 16);
  w.sums_stride = round_up(c.value_width, 16);
  w.query = scratch;
  w.sums = w.query + rows * w.query_stride;
  w.maximum = w.sums + rows * w.sums_stride;
  w.total = w.maximum + round_up(rows, 16);
  w.scores = w.total + round_up(rows, 16);
  w.keys = w.scores + round_up(rows, 16) * kKeyBlock;
  w.values = w.keys + kKeyBlock * w.query_stride;
  return w;
}

template <class T>
struct KeyBlock {
  int count = 0;
  int position[kKeyBlock];
  size_t slot[kKeyBlock];
  const T* key[kKeyBlock + 16];
  const T* value[kKeyBlock + 16];
};

// Collects up to `limit` visible keys from `position` on; returns where to go on.
template <class T>
static int collect(const AttentionCall& c, const AttentionTask& t, int position, int limit, KeyBlock<T>& block) {
  const int32_t* table = c.block_table + size_t(t.sequence) * c.table_width;
  block.count = 0;
  while (position < t.key_end && block.count < limit) {
    const int page = position / c.page_tokens, offset = position - page * c.page_tokens;
    int run = c.page_tokens - offset;
    if (run > t.key_end - position) run = t.key_end - position;
    if (table[page] < 0) {
      position += run;
      continue;
    }
    if (run > limit - block.count) run = limit - block.count;
    const size_t slot = size_t(table[page]) * c.page_tokens + offset;
    for (int i = 0; i < run; ++i) {
      block.position[block.count] = position++;
      block.slot[block.count++] = slot + i;
    }
  }
  return position;
}

// Row pointers of one kv head; the last is repeated so that kernels may work in fours or in whole vectors.
template <class T>
static void point(const AttentionCall& c, int kv_head, KeyBlock<T>& block) {
  const T* keys = static_cast<const T*>(c.key_cache);
  const T* values = static_cast<const T*>(c.value_cache);
  for (int i = 0; i < block.count; ++i) {
    const size_t row = block.slot[i] * c.kv_heads + kv_head;
    block.key[i] = keys + row * c.width;
    block.value[i] = values + row * (c.latent ? c.width : c.value_width);
  }
  for (int i = block.count; i < int(round_up(block.count, 16)); ++i) {
    block.key[i] = block.key[block.count - 1];
    block.value[i] = block.value[block.count - 1];
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

static void tile_pointers(const float* tile, int count, size_t stride, const float** pointers) {
  for (int i = 0; i < int(round_up(count, 4)); ++i) pointers[i] = tile + (i < count ? i : count - 1) * stride;
}

template <class T>
static void dot_scores(const Workspace& w, const float* query, int rows, const T* const* keys, int count, size_t width) {
  for (int i = 0; i < count; i += 4)
    dot_rows(query, w.query_stride, rows, keys + i, width, w.scores + i, kKeyBlock);
}

// Scores -> exp(score - maximum) for keys [begin, end) of one row, exactly 0 for the others.
//
// The running maximum only moves when a score exceeds it by more than kMaximumSlack: exp() of the slack is
// harmless in float, and rescaling the sums is what a block costs most beside the products.
static void softmax_row(const AttentionCall& c, float* scores, int count, int begin, int end, float* sums,
                        size_t sums_stride, float& maximum, float& total) {
  const int padded = int(round_up(count, kWidth));
  if (begin == end) {
    for (int i = 0; i < padded; ++i) scores[i] = 0.0f;
    return;
  }
  const float minus_infinity = -__builtin_inff();
  for (int i = 0; i < begin; ++i) scores[i] = minus_infinity;
  for (int i = end; i < padded; ++i) scores[i] = minus_infinity;
  if (c.softcap > 0.0f)  // cap * tanh(s / cap), tanh(x) = 1 - 2 / (exp(2x) + 1)
    for (int i = begin / kWidth * kWidth; i < end; i += kWidth) {
      const V s = load(scores + i);
      const V capped = splat(c.softcap) * (splat(1.0f) - splat(2.0f) / (exp(s * splat(2.0f / c.softcap)) + splat(1.0f)));
      store(scores + i, capped);
    }
  if (c.softcap > 0.0f) {  // capping moved the masked ones off minus infinity
    for (int i = 0; i < begin; ++i) scores[i] = minus_infinity;
    for (int i = end; i < padded; ++i) scores[i] = minus_infinity;
  }
  V top = load(scores);
  for (int i = kWidth; i < padded; i += kWidth) top = max(top, load(scores + i));
  const float block_maximum = highest(top);
  if (!(block_maximum <= maximum + kMaximumSlack)) {
    if (total != 0.0f) {
      float factor[kWidth];
      store(factor, exp(splat(maximum - block_maximum)));
      total *= factor[0];
      for (size_t i = 0; i < sums_stride; i += kWidth) store(sums + i, load(sums + i) * splat(factor[0]));
    }
    maximum = block_maximum;
  }
  V added = splat(0.0f);
  for (int i = 0; i < padded; i += kWidth) {
    const V p = exp(load(scores + i) - splat(maximum));
    store(scores + i, p);
    added = added + p;
  }
  total += sum(added);
}

// One block of keys for the rows of one kv head.
template <class T>
static void attend_block(const AttentionCall& c, const AttentionTask& t, const Workspace& w, KeyBlock<T>& block,
                         int head_index) {
  const int per_head = (t.token_end - t.token_begin) * c.group, n = block.count;
  point(c, t.kv_begin + head_index, block);

  // Causal rows that come before the first key of the block see nothing of it: they are the first ones.
  int first = 0;
  if (t.causal && block.position[0] > t.position) first = (block.position[0] - t.position) * c.group;
  if (first >= per_head) return;
  const int rows = per_head - first, offset = head_index * per_head + first;
  const float* query = w.query + offset * w.query_stride;
  float* sums = w.sums + offset * w.sums_stride;

  const bool direct = rows <= kDirectRows && c.width % kWidth == 0 && c.value_width % kWidth == 0;
  const bool transpose = rows >= kTransposeRows;
  if (direct) {
    dot_scores(w, query, rows, block.key, n, c.width);
  } else if (transpose) {
    const size_t columns = round_up(n, kWidth);
    transpose_rows(block.key, columns, c.width, w.keys, columns);
    gemm(query, w.query_stride, rows, Dense<float>{w.keys, columns}, 0, columns, c.width, nullptr, w.scores, kKeyBlock);
  } else {
    const float* keys[kKeyBlock];
    widen_rows(block.key, n, c.width, w.keys, w.query_stride);
    tile_pointers(w.keys, n, w.query_stride, keys);
    dot_scores(w, query, rows, keys, n, w.query_stride);
  }

  for (int r = 0; r < rows; ++r) {
    const int position = t.position + (first + r) / c.group;
    const int last = t.causal ? position : t.last_position;
    int begin = 0, end = n;
    if (c.window > 0)
      while (begin < n && block.position[begin] <= position - c.window) ++begin;
    while (end > begin && block.position[end - 1] > last) --end;
    softmax_row(c, w.scores + r * kKeyBlock, n, begin, end, sums + r * w.sums_stride, w.sums_stride,
                w.maximum[offset + r], w.total[offset + r]);
  }

  if (direct) {
    gemm(w.scores, kKeyBlock, rows, Scattered<T>{block.value}, 0, c.value_width, n, sums, sums, w.sums_stride);
  } else if (c.latent && !transpose) {
    gemm(w.scores, kKeyBlock, rows, Dense<float>{w.keys, w.query_stride}, 0, round_up(c.value_width, kWidth), n, sums,
         sums, w.sums_stride);
  } else {
    widen_rows(block.value, n, c.value_width, w.values, w.sums_stride);
    gemm(w.scores, kKeyBlock, rows, Dense<float>{w.values, w.sums_stride}, 0, round_up(c.value_width, kWidth), n, sums,
         sums, w.sums_stride);
  }
}

template <class T>
static void attend_as(const AttentionCall& c, const AttentionTask& t, float* scratch) {
  const int tokens = t.token_end - t.token_begin, heads = t.kv_end - t.kv_begin;
  const size_t rows = size_t(tokens) * c.group * heads;
  const Workspace w = lay_out(c, rows, scratch);
  load_query_rows(c, t, w.query, w.query_stride);
  for (size_t i = 0; i < rows * w.sums_stride; i += kWidth) store(w.sums + i, splat(0.0f));
  for (size_t r = 0; r < rows; ++r) {
    w.maximum[r] = -__builtin_inff();
    w.total[r] = 0.0f;
  }
  // A wide row fills the cache sooner.
  const int limit = c.width > 256 && kMaxTaskRows * c.width > 16384 ? kKeyBlock / 2 : kKeyBlock;
  KeyBlock<T> block;
  for (int position = t.key_begin; position < t.key_end;) {
    position = collect(c, t, position, limit, block);
    if (block.count == 0) break;
    for (int h = 0; h < heads; ++h) attend_block(c, t, w, block, h);
  }
  if (t.partial != nullptr)
    store_partial_rows(c, rows, w.sums, w.sums_stride, w.maximum, w.total, t.partial);
  else
    store_output_rows(c, t, w.sums, w.sums_stride, w.total);
}

static void attend(const AttentionCall& c, const AttentionTask& t, float* scratch) {
  c.half_cache ? attend_as<half>(c, t, scratch) : attend_as<float>(c, t, scratch);
}

}  // namespace youtu::YOUTU_ISA
