// What PagedAttention needs row by row: rotated queries and keys, the cache, joining segments. The bits of
// ../attention_rows.h.
#pragma once

#include "device.h"
#include "interface.h"

namespace youtu::cuda {

using Attention = YoutuAttention;

constexpr int kSegment = 256;  // keys; cut at absolute positions, as on the CPU
constexpr int kAttendThreads = 256, kStoreThreads = 128, kMergeThreads = 256;

// Channel i of a head after rotation at `position`: (a, b) -> (a cos - b sin, b cos + a sin), the second product rounded,
// the first one not.
//
//   halves       pairs (i, i + rope_half)        interleaved      pairs (2i, 2i + 1)
YOUTU_DEVICE float rotated(const Attention& c, const float* head, int i, int position) {
  const int at = i - c.rope_offset;
  if (c.cos == nullptr || at < 0 || at >= 2 * c.rope_half) return load1(head + i);
  const int pair = c.interleaved ? at / 2 : at < c.rope_half ? at : at - c.rope_half;
  const bool first = c.interleaved ? at % 2 == 0 : at < c.rope_half;
  const int other = c.interleaved ? (first ? i + 1 : i - 1) : first ? i + c.rope_half : i - c.rope_half;
  const float x = load1(head + i), y = load1(head + other);
  const float cosine = load1(c.cos + int64_t(position) * c.rope_half + pair);
  const float sine = load1(c.sin + int64_t(position) * c.rope_half + pair);
  return first ? fused(x, cosine, 0.0f - y * sine) : fused(x, cosine, y * sine);
}

// The sequence of a token, and its position.
struct TokenPlace {
  int sequence, position;
};
YOUTU_DEVICE TokenPlace place_of(const Attention& c, int token) {
  int b = 0;
  while (b + 1 < c.sequences && load1(c.cumulative + b + 1) <= token) ++b;
  return {b, load1(c.past + b) + token - load1(c.cumulative + b)};
}

// The cache's row for a position; -1 where its page is not there.
YOUTU_DEVICE int slot_of(const Attention& c, int sequence, int position) {
  const int page = load1(c.block_table + sequence * c.table_width + position / c.page_tokens);
  return page < 0 ? -1 : page * c.page_tokens + position % c.page_tokens;
}

// One thread block per token: its keys, rotated, and values go to their slot.
__global__ void __launch_bounds__(kStoreThreads) store_tokens(const Attention c) {
  const int token = int(blockIdx.x);
  const TokenPlace at = place_of(c, token);
  const int64_t slot = c.slots != nullptr ? load1(c.slots + token) : slot_of(c, at.sequence, at.position);
  if (slot < 0) return;
  const int row = c.kv_heads * c.width;
  for (int i = threadIdx.x; i < row; i += kStoreThreads) {
    const float* head = c.key + token * c.key_stride + i / c.width * c.width;
    c.key_cache[slot * row + i] = narrow(rotated(c, head, i % c.width, at.position));
    if (c.value != nullptr) c.value_cache[slot * row + i] = narrow(load1(c.value + token * c.value_stride + i));
  }
}

// How what a row has seen joins what a later segment has seen.
struct Join {
  float keep, take, maximum, total;
  bool nothing, first;
};
YOUTU_DEVICE Join join(float maximum, float total, float new_maximum, float new_total) {
  if (new_total == 0.0f) return {1.0f, 0.0f, maximum, total, true, false};
  if (total == 0.0f) return {0.0f, 1.0f, new_maximum, new_total, false, true};
  const float highest = new_maximum > maximum ? new_maximum : maximum;
  const float keep = exponential(maximum - highest), take = exponential(new_maximum - highest);
  return {keep, take, highest, fused(total, keep, new_total * take), false, false};
}
YOUTU_DEVICE float joined(const Join& j, float sum, float new_sum) {
  if (j.nothing) return sum;
  return j.first ? new_sum : fused(sum, j.keep, new_sum * j.take);
}
YOUTU_DEVICE float mean_factor(float total) { return total == 0.0f ? 0.0f : 1.0f / total; }

}  // namespace youtu::cuda
