// One segment of 256 keys: slots, scores, softmax and values for the 16 rows of a tile, on tensor cores.
//
// Fragments hold float16, but nothing is rounded to it: a query is a power of two times the sum of two float16, and so is
// what softmax makes of a score; keys and values are float16 in the cache. Both products are added, so that only the sums of
// the tensor cores round. In which order they add 16 products is theirs; it depends on nothing but these 16.
#pragma once

#include "attention_tile.h"

namespace youtu::cuda {

constexpr float kWeightScale = 16384.0f;  // weights of at most 1 use float16 from its upper end on
constexpr int kLargestExponent = 13;      // of a query's values

// x -> the nearest float16, and what is left.
struct TwoHalves {
  uint16_t high, rest;
};
YOUTU_DEVICE TwoHalves in_two(float x) {
  const uint16_t high = narrow(x);
  return {high, narrow(x - widen(high))};
}

// 2^e, for e of a float's normal numbers.
YOUTU_DEVICE float power_of_two(int e) { return float_of((e + 127) << 23); }

// A warp per row. The largest value of a row is brought to 2^13 .. 2^14.
YOUTU_DEVICE void load_queries(const Attention& c, const Tile& t, const AttendShared& s) {
  const int lane = int(threadIdx.x) % kWarp;
  for (int row = int(threadIdx.x) / kWarp; row < kTileRows; row += kAttendWarps) {
    const bool there = row < t.rows();
    const int token = there ? t.token_of(row) : 0, position = t.position + token;
    const float* head = c.query + (t.token + token) * c.query_stride + (t.head + (there ? row % t.heads : 0)) * c.width;
    float largest = 0.0f;
    for (int i = lane; i < c.width && there; i += kWarp) {
      const float x = rotated(c, head, i, position) * c.scale, size = x < 0.0f ? -x : x;
      largest = size > largest ? size : largest;
    }
    YOUTU_UNROLL
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const float other = shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    int exponent = (bits_of(largest) >> 23 & 255) - 127 - kLargestExponent;
    exponent = exponent < -100 ? -100 : exponent;
    const float up = power_of_two(-exponent);
    for (int i = lane; i < s.stride; i += kWarp) {
      const TwoHalves x = in_two(there && i < c.width ? rotated(c, head, i, position) * c.scale * up : 0.0f);
      s.query[row * s.stride + i] = x.high;
      s.query_rest[row * s.stride + i] = x.rest;
    }
    if (lane == 0) s.query_scale[row] = power_of_two(exponent);
  }
}

// Eight values of a row of the cache from `at` on, zeros behind its end and where `row` is null. Aligned: rows begin on 16
// bytes and end there.
template <bool kAligned>
YOUTU_DEVICE Words4 eight_values(const uint16_t* row, int at, int end) {
  Words4 words{{0, 0, 0, 0}};
  if (row == nullptr || at >= end) return words;
  if constexpr (kAligned) {
    words = load16(row + at);
  } else {
    for (int i = 0; i < 8 && at + i < end; ++i) words.word[i / 2] |= uint32_t(load1(row + at + i)) << (i % 2 * 16);
  }
  return words;
}

YOUTU_DEVICE const uint16_t* cache_row(const Attention& c, const Tile& t, const uint16_t* cache, int slot) {
  return slot < 0 ? nullptr : cache + (int64_t(slot) * c.kv_heads + t.kv_head) * c.width;
}

// Both fragments of 32 channels of rows g and g + 8: lane 4 g + t takes channels 8 t .. 8 t + 7, as eight_values() does.
YOUTU_DEVICE void query_fragments(const uint16_t* query, int stride, int k, uint32_t (&a)[2][4]) {
  const uint16_t* row = query + int(threadIdx.x) % kWarp / 4 * stride + k + int(threadIdx.x) % 4 * 8;
  const Words4 upper = shared_at<Words4>(row), lower = shared_at<Words4>(row + 8 * stride);
  YOUTU_UNROLL
  for (int i = 0; i < 4; ++i) {
    a[i / 2][i % 2 * 2] = upper.word[i];
    a[i / 2][i % 2 * 2 + 1] = lower.word[i];
  }
}

// A warp has the eight keys (8 n + warp) * 8 .. of every n < 4: a column of a fragment per key.
template <bool kAligned>
YOUTU_DEVICE void score_keys(const Attention& c, const Tile& t, const AttendShared& s, int end) {
  constexpr int kColumns = 4, kEvery = kAttendWarps * 8;
  const int warp = int(threadIdx.x) / kWarp, g = int(threadIdx.x) % kWarp / 4, l = int(threadIdx.x) % 4;
  const uint16_t* rows[kColumns];
  YOUTU_UNROLL
  for (int n = 0; n < kColumns; ++n) rows[n] = cache_row(c, t, c.key_cache, s.slots[n * kEvery + warp * 8 + g]);
  const int columns = (end - warp * 8 + kEvery - 1) / kEvery;  // that have a key; what others would write is not read
  float sums[kColumns][4] = {};
  YOUTU_UNROLL_BY(1)
  for (int k = 0; k < c.width; k += 32) {
    uint32_t high[2][4], rest[2][4];
    query_fragments(s.query, s.stride, k, high);
    query_fragments(s.query_rest, s.stride, k, rest);
    Words4 keys[kColumns];
    YOUTU_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      if (n >= columns) break;
      if constexpr (kAligned) keys[n] = eight_values<true>(rows[n], k + l * 8, c.width);
    }
    YOUTU_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      if (n >= columns) break;
      // Values that come one by one take more registers: a column at a time.
      if constexpr (!kAligned) keys[n] = eight_values<false>(rows[n], k + l * 8, c.width);
      YOUTU_UNROLL
      for (int half = 0; half < 2; ++half) {
        const uint32_t b[2] = {keys[n].word[half * 2], keys[n].word[half * 2 + 1]};
        multiply_halves(sums[n], high[half], b);
        multiply_halves(sums[n], rest[half], b);
      }
    }
  }
  YOUTU_UNROLL
  for (int n = 0; n < kColumns; ++n) {
    const int key = n * kEvery + warp * 8 + l * 2;
    *reinterpret_cast<Floats<2>*>(s.scores + g * kScoreStride + key) = {{sums[n][0], sums[n][1]}};
    *reinterpret_cast<Floats<2>*>(s.scores + (g + 8) * kScoreStride + key) = {{sums[n][2], sums[n][3]}};
  }
}

YOUTU_DEVICE float capped(float softcap, float score) {
  if (softcap == 0.0f) return score;
  return softcap * (1.0f - 2.0f / (exponential(score * (2.0f / softcap)) + 1.0f));
}

// Scores of a row -> weights exp(score - maximum), 0 where it does not see. A warp per row; lane i has keys i, i + 32, ...
YOUTU_DEVICE void soften_row(const Attention& c, const Tile& t, const AttendShared& s, int row, int base, int begin,
                             int end) {
  constexpr int kKeys = kSegment / kWarp;
  const int lane = int(threadIdx.x) % kWarp;
  const int position = t.position + (row < t.rows() ? t.token_of(row) : 0), last = t.causal ? position : t.last;
  const int seen_from = c.window > 0 ? position - c.window + 1 : 0;
  const float minus_infinity = float_of(int32_t(0xff800000));
  float scores[kKeys], maximum = minus_infinity, total = 0.0f;
  YOUTU_UNROLL
  for (int i = 0; i < kKeys; ++i) {
    const int key = i * kWarp + lane, at = base + key;
    const bool seen =
        key >= begin && key < end && row < t.rows() && at >= seen_from && at <= last && s.slots[key] >= 0;
    scores[i] = seen ? capped(c.softcap, s.scores[row * kScoreStride + key] * s.query_scale[row]) : minus_infinity;
    maximum = scores[i] > maximum ? scores[i] : maximum;
  }
  YOUTU_UNROLL
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const float other = shuffle_xor(maximum, mask);
    maximum = other > maximum ? other : maximum;
  }
  YOUTU_UNROLL
  for (int i = 0; i < kKeys; ++i) {
    const float weight = scores[i] == minus_infinity ? 0.0f : exponential(scores[i] - maximum) * kWeightScale;
    const TwoHalves halves = in_two(weight);
    s.weights[row * kWeightStride + i * kWarp + lane] = halves.high;
    s.weights_rest[row * kWeightStride + i * kWarp + lane] = halves.rest;
    total = total + weight;
  }
  YOUTU_UNROLL
  for (int mask = kWarp / 2; mask > 0; mask /= 2) total = total + shuffle_xor(total, mask);
  if (lane != 0) return;
  s.maximum[row] = maximum;
  s.total[row] = total;
  s.joins[row] = join(s.all_maximum[row], s.all_total[row], maximum, total);
  s.all_maximum[row] = s.joins[row].maximum;
  s.all_total[row] = s.joins[row].total;
}

// One fragment of 16 keys of rows g and g + 8: lane 4 g + t takes keys 4 t .. 4 t + 3.
YOUTU_DEVICE void weight_fragment(const uint16_t* weights, int key, uint32_t (&a)[4]) {
  const uint16_t* row = weights + int(threadIdx.x) % kWarp / 4 * kWeightStride + key + int(threadIdx.x) % 4 * 4;
  const Words2 upper = shared_at<Words2>(row), lower = shared_at<Words2>(row + 8 * kWeightStride);
  a[0] = upper.word[0];
  a[1] = lower.word[0];
  a[2] = upper.word[1];
  a[3] = lower.word[1];
}

// Sums of a warp: 64 channels from `channel` on, of every `Warps`-th 16 keys. In fragment j, column g is channel 8 g + j.
template <int Warps, bool kAligned>
YOUTU_DEVICE void add_values(const Attention& c, const Tile& t, const AttendShared& s, int channel, int first, int begin,
                             int end, float (&sums)[8][4]) {
  const int at = channel + int(threadIdx.x) % kWarp / 4 * 8, l = int(threadIdx.x) % 4;
  const uint16_t* cache = c.value_cache != nullptr ? c.value_cache : c.key_cache;
  YOUTU_UNROLL_BY(1)
  for (int block = first * 16; block < end; block += Warps * 16) {
    if (block + 16 <= begin) continue;
    uint32_t high[4], rest[4];
    weight_fragment(s.weights, block, high);
    weight_fragment(s.weights_rest, block, rest);
    Words4 values[4];
    YOUTU_UNROLL
    for (int i = 0; i < 4; ++i)
      values[i] = eight_values<kAligned>(cache_row(c, t, cache, s.slots[block + l * 4 + i]), at, c.value_width);
    YOUTU_UNROLL
    for (int j = 0; j < 8; ++j) {
      const int shift = j % 2 * 16;
      uint32_t b[2];
      YOUTU_UNROLL
      for (int i = 0; i < 2; ++i)
        b[i] = (values[2 * i].word[j / 2] >> shift & 0xffff) | (values[2 * i + 1].word[j / 2] >> shift << 16);
      multiply_halves(sums[j], high, b);
      multiply_halves(sums[j], rest, b);
    }
  }
}

YOUTU_DEVICE void store_part(const AttendShared& s, const float (&sums)[8][4]) {
  const int warp = int(threadIdx.x) / kWarp, g = int(threadIdx.x) % kWarp / 4, l = int(threadIdx.x) % 4;
  YOUTU_UNROLL
  for (int j = 0; j < 8; ++j)
    YOUTU_UNROLL
    for (int i = 0; i < 4; ++i)
      s.parts[(warp * kTileRows + g + i / 2 * 8) * kPartStride + (l * 2 + i % 2) * 8 + j] = sums[j][i];
}

// Scores want a row's channels one after another: all of a segment's rows are asked for at once before.
YOUTU_DEVICE void prefetch_rows(const Attention& c, const Tile& t, const int* slots, int begin, int end) {
  const int bytes = c.width * 2, lines = (bytes + kLineBytes - 1) / kLineBytes + 1;
  for (int i = begin * lines + threadIdx.x; i < end * lines; i += kAttendThreads) {
    const int slot = slots[i / lines], wanted = i % lines * kLineBytes, at = wanted < bytes ? wanted : bytes - 1;
    if (slot < 0) continue;
    const int64_t row = (int64_t(slot) * c.kv_heads + t.kv_head) * bytes + at;
    prefetch(reinterpret_cast<const char*>(c.key_cache) + row);
    if (c.value_cache != nullptr) prefetch(reinterpret_cast<const char*>(c.value_cache) + row);
  }
}

// One segment up to the weights: keys [begin, end) of it.
template <bool kAligned>
YOUTU_DEVICE void weigh_segment(const Attention& c, const Tile& t, const AttendShared& s, int base, int begin, int end) {
  for (int i = threadIdx.x; i < kSegment; i += kAttendThreads)
    s.slots[i] = i >= begin && i < end ? slot_of(c, t.sequence, base + i) : -1;
  __syncthreads();
  prefetch_rows(c, t, s.slots, begin, end);
  score_keys<kAligned>(c, t, s, end);
  __syncthreads();
  for (int row = int(threadIdx.x) / kWarp; row < kTileRows; row += kAttendWarps) soften_row(c, t, s, row, base, begin, end);
  __syncthreads();
}

}  // namespace youtu::cuda
