// One segment of 256 keys: slots, scores, softmax and values for the rows of a tile.
#pragma once

#include "attention_tile.h"

namespace youtu::cuda {

constexpr float kMaximumSlack = 8.0f;

// Eight values of a row of the cache, zeros behind its end. Many rows share only keys that begin on 16 bytes.
template <bool kAligned>
YOUTU_DEVICE void widen8(const uint16_t* row, int begin, int width, float (&v)[8]) {
  if constexpr (!kAligned)
    if (width % 8 != 0) {
      YOUTU_UNROLL
      for (int i = 0; i < 8; ++i) v[i] = begin + i < width ? widen(load1(row + begin + i)) : 0.0f;
      return;
    }
  const Words4 words = begin < width ? load16(row + begin) : Words4{{0, 0, 0, 0}};
  YOUTU_UNROLL
  for (int i = 0; i < 8; ++i) v[i] = widen(uint16_t(words.word[i / 2] >> (i % 2 * 16)));
}

template <int R>
YOUTU_DEVICE void load_queries(const Attention& c, const Tile& t, const AttendShared<R>& s) {
  for (int i = threadIdx.x; i < R * s.stride; i += kAttendThreads) {
    const int row = i / s.stride, channel = i % s.stride;
    float value = 0.0f;
    if (row < t.rows() && channel < c.width) {
      const int token = t.token_of(row);
      const float* head = c.query + (t.token + token) * c.query_stride + (t.head + row % t.heads) * c.width;
      value = rotated(c, head, channel, t.position + token) * c.scale;
    }
    s.query[(channel / 8 * R + row) * 8 + channel % 8] = value;
  }
}

// Scores of the keys [begin, end) of a segment that starts at `base`: sixteen lanes summed each by itself, then in
// the order of total_of_lanes().
template <int R, int P>
YOUTU_DEVICE void score_keys(const Attention& c, const Tile& t, const AttendShared<R>& s, int begin, int end) {
  const int half = int(threadIdx.x) % 2;
  for (int key = int(threadIdx.x) / 2; key < kSegment; key += kAttendThreads / 2) {
    const int first = key / 16 * 16;  // of the warp
    if (first + 16 <= begin || first >= end) continue;
    const int slot = s.slots[key];
    const uint16_t* row = c.key_cache + (int64_t(slot < 0 ? 0 : slot) * c.kv_heads + t.kv_head) * c.width;
    float sums[R][8] = {};
    if (slot >= 0) {
      YOUTU_UNROLL_BY(R < kManyRows ? 4 : P == 1 ? 2 : 3)  // what registers allow
      for (int k = half * 8; k < s.stride; k += 16) {
        float v[8];
        widen8<R == kManyRows>(row, k, c.width, v);
        YOUTU_UNROLL
        for (int r = 0; r < R; ++r) {
          const float* q = s.query + k * R + r * 8;
          const Floats<4> low = shared_at<Floats<4>>(q), high = shared_at<Floats<4>>(q + 4);
          YOUTU_UNROLL
          for (int i = 0; i < 8; ++i) sums[r][i] = fused(i < 4 ? low.value[i] : high.value[i - 4], v[i], sums[r][i]);
        }
      }
    }
    YOUTU_UNROLL
    for (int r = 0; r < R; ++r) {
      float y[4];
      YOUTU_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float kept = half ? sums[r][4 + i] : sums[r][i], given = half ? sums[r][i] : sums[r][4 + i];
        y[i] = kept + shuffle_xor(given, 1);
      }
      const float part = (y[0] + y[1]) + (y[2] + y[3]);
      const float score = part + shuffle_xor(part, 1);
      if (half == r % 2) s.scores[key * R + r] = score;
    }
  }
}

YOUTU_DEVICE float capped(float softcap, float score) {
  if (softcap == 0.0f) return score;
  return softcap * (1.0f - 2.0f / (exponential(score * (2.0f / softcap)) + 1.0f));
}

// Scores of row r of the keys [begin, end) -> exp(score - maximum), 0 where it does not see; both halves of a warp do the
// same, with key i in lane i % 16. The maximum moves only when a score exceeds it by more than the slack.
template <int R>
YOUTU_DEVICE void soften_row(const Attention& c, const Tile& t, const AttendShared<R>& s, int r, int base, int begin,
                             int end) {
  const int lane = int(threadIdx.x) % 16, size = c.width > 256 ? 32 : 64;
  const int position = t.position + t.token_of(r), last = t.causal ? position : t.last;
  const int seen_from = c.window > 0 ? position - c.window + 1 : 0;
  const float minus_infinity = float_of(int32_t(0xff800000));
  float maximum = minus_infinity, total = 0.0f;
  for (int block = 0; block < kSegment / size; ++block) {
    float scores[4], top = minus_infinity;
    YOUTU_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int key = block * size + i * 16 + lane, at = base + key;
      const bool seen = i * 16 < size && key >= begin && key < end && r < t.rows() && at >= seen_from && at <= last &&
                        s.slots[key] >= 0;
      scores[i] = seen ? capped(c.softcap, s.scores[key * R + r]) : minus_infinity;
      top = scores[i] > top ? scores[i] : top;
    }
    YOUTU_UNROLL
    for (int mask = 8; mask > 0; mask /= 2) {
      const float other = shuffle_xor(top, mask);
      top = other > top ? other : top;
    }
    float factor = 1.0f;
    if (top != minus_infinity && !(top <= maximum + kMaximumSlack)) {
      if (total != 0.0f) factor = exponential(maximum - top);
      total = total * factor;
      maximum = top;
    }
    float added = 0.0f;
    YOUTU_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i * 16 >= size) break;
      const float p = scores[i] == minus_infinity ? 0.0f : exponential(scores[i] - maximum);
      added = added + p;
      if (int(threadIdx.x) % kWarp < 16) s.scores[(block * size + i * 16 + lane) * R + r] = p;
    }
    added = total_of_lanes(added);
    if (top != minus_infinity) total = total + added;
    if (int(threadIdx.x) % kWarp == 0) s.factors[block * R + r] = factor;
  }
  if (int(threadIdx.x) % kWarp != 0) return;
  s.maximum[r] = maximum;
  s.total[r] = total;
  s.joins[r] = join(s.all_maximum[r], s.all_total[r], maximum, total);
  s.all_maximum[r] = s.joins[r].maximum;
  s.all_total[r] = s.joins[r].total;
}

// Which channels and rows a thread owns in the values: two channels of P rows.
template <int R, int P>
struct Owner {
  static constexpr int kPairs = kAttendThreads * P / R, kChannels = 2 * kPairs;
  int channel, row;
  YOUTU_DEVICE explicit Owner(int first)
      : channel(first + int(threadIdx.x) % kPairs * 2), row(int(threadIdx.x) / kPairs * P) {}
};

// Two neighbouring channels of a value.
YOUTU_DEVICE void widen2(const uint16_t* row, int channel, const Attention& c, float (&v)[2]) {
  if (c.width % 2 == 0) {
    const uint32_t both = load4(row + channel);
    v[0] = widen(uint16_t(both));
    v[1] = widen(uint16_t(both >> 16));
    return;
  }
  v[0] = widen(load1(row + channel));
  v[1] = channel + 1 < c.value_width ? widen(load1(row + channel + 1)) : 0.0f;
}

template <int R, int P>
YOUTU_DEVICE void add_values(const Attention& c, const Tile& t, const AttendShared<R>& s, const Owner<R, P>& own, int begin,
                             int end, float (&sums)[P][2]) {
  const int size = c.width > 256 ? 32 : 64;
  const uint16_t* cache = c.value_cache != nullptr ? c.value_cache : c.key_cache;
  for (int block = begin / size; block * size < end; ++block) {
    YOUTU_UNROLL
    for (int i = 0; i < P; ++i) {
      const float factor = s.factors[block * R + own.row + i];
      sums[i][0] = sums[i][0] * factor;
      sums[i][1] = sums[i][1] * factor;
    }
    const int from = begin > block * size ? begin : block * size, to = end < (block + 1) * size ? end : (block + 1) * size;
    YOUTU_UNROLL_BY(16)
    for (int key = from; key < to; ++key) {
      const int slot = s.slots[key];
      float v[2] = {0.0f, 0.0f};
      if (slot >= 0) widen2(cache + (int64_t(slot) * c.kv_heads + t.kv_head) * c.width, own.channel, c, v);
      const Floats<P> p = shared_at<Floats<P>>(s.scores + key * R + own.row);
      YOUTU_UNROLL
      for (int i = 0; i < P; ++i) {
        sums[i][0] = fused(p.value[i], v[0], sums[i][0]);
        sums[i][1] = fused(p.value[i], v[1], sums[i][1]);
      }
    }
  }
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

// One segment up to the probabilities: keys [begin, end) of it.
template <int R, int P>
YOUTU_DEVICE void weigh_segment(const Attention& c, const Tile& t, const AttendShared<R>& s, int base, int begin, int end) {
  for (int i = threadIdx.x; i < kSegment; i += kAttendThreads)
    s.slots[i] = i >= begin && i < end ? slot_of(c, t.sequence, base + i) : -1;
  __syncthreads();
  prefetch_rows(c, t, s.slots, begin, end);
  score_keys<R, P>(c, t, s, begin, end);
  __syncthreads();
  for (int r = int(threadIdx.x) / kWarp; r < R; r += kAttendThreads / kWarp) soften_row(c, t, s, r, base, begin, end);
  __syncthreads();
}

}  // namespace youtu::cuda
