// PagedAttention on tensor cores: mma m16n8k16 of float16, sums in float. Not the bits of ../attention_kernel.h, but its own
// whatever else is in the step, and as close as two float additions in another order (attention_segment.h).
//
// A thread block has a tile of up to 16 query rows, (token, head) pairs of one sequence and one kv head, which share every
// key that is read, and some segments of 256 keys. A segment goes through four phases, with barriers between them:
//
//   slots     where the keys lie; -1 for a dropped page
//   scores    a warp has 32 of the keys, for all rows
//   softmax   a warp per row; weights relative to the largest score of the segment
//   values    a warp has 64 channels; where there are fewer than 512, several share the keys. Their sums are added in order
//
//   one split     segments are joined in order, the mean is the output
//   more splits   each segment's sums, maximum and total go to the workspace; merge_segments() joins them, in order
//
// Batch invariance: segments begin at absolute positions; a row of a fragment depends on no other row; how many splits
// there are changes no order.
#pragma once

#include "attention_segment.h"

namespace youtu::cuda {

// The values of a tile that a thread joins and writes: i * threads + thread of [rows, channels of all warps].
template <int Groups>
struct Owned {
  static constexpr int kChannels = Groups * kWarpChannels, kCount = kTileRows * kChannels / kAttendThreads;
  static constexpr int kSharers = kAttendWarps / Groups;
  int row, channel;
  YOUTU_DEVICE Owned(int i, int first)
      : row((i * kAttendThreads + int(threadIdx.x)) / kChannels),
        channel(first + (i * kAttendThreads + int(threadIdx.x)) % kChannels) {}
};

// The segment's sum of one value: that of each warp which had some of the keys, in order.
template <int Groups>
YOUTU_DEVICE float sum_of_warps(const AttendShared& s, const Owned<Groups>& own, int first) {
  const int in_all = own.channel - first;
  float sum = 0.0f;
  YOUTU_UNROLL
  for (int sharer = 0; sharer < Owned<Groups>::kSharers; ++sharer) {
    const int warp = sharer * Groups + in_all / kWarpChannels;
    sum = sum + s.parts[(warp * kTileRows + own.row) * kPartStride + in_all % kWarpChannels];
  }
  return sum;
}

YOUTU_DEVICE void store_partial(const AttendCall& call, const AttendShared& s, int row, int channel, int segment, float sum) {
  const AttentionCut& cut = call.cut;
  const int64_t tile = int64_t(blockIdx.x) * gridDim.y + blockIdx.y;
  float* target = call.partials + ((tile * cut.segments + segment) * kTileRows + row) * cut.row_floats;
  target[channel] = sum;
  if (channel != 0) return;
  target[call.c.value_width] = s.maximum[row];
  target[call.c.value_width + 1] = s.total[row];
}

template <int Groups, bool kAligned>
__global__ void __launch_bounds__(kAttendThreads, 2) attend(const AttendCall call) {
  using Own = Owned<Groups>;
  const Attention& c = call.c;
  const AttentionCut& cut = call.cut;
  const AttendShared s(shared_memory(), c.width);
  if (threadIdx.x == 0) *s.tile = find_tile(c, cut);
  __syncthreads();
  const Tile& t = *s.tile;
  if (!t.there) return;
  load_queries(c, t, s);
  const int warp = int(threadIdx.x) / kWarp;
  const int first = t.key_begin / kSegment, last = (t.key_end - 1) / kSegment;
  const int from = int(blockIdx.z) * cut.step > first ? int(blockIdx.z) * cut.step : first;
  const int to = int(blockIdx.z + 1) * cut.step - 1 < last ? int(blockIdx.z + 1) * cut.step - 1 : last;
  // A head wider than the warps' channels is gone through again for the others.
  for (int channels = 0; channels < c.value_width; channels += Own::kChannels) {
    __syncthreads();
    if (threadIdx.x < kTileRows) s.all_maximum[threadIdx.x] = s.all_total[threadIdx.x] = 0.0f;
    for (int segment = from; segment <= to; ++segment) {
      const int base = segment * kSegment;
      const int begin = t.key_begin > base ? t.key_begin - base : 0;
      const int end = t.key_end - base < kSegment ? t.key_end - base : kSegment;
      __syncthreads();
      weigh_segment<kAligned>(c, t, s, base, begin, end);
      float sums[8][4] = {};
      add_values<Own::kSharers, kAligned>(c, t, s, channels + warp % Groups * kWarpChannels, warp / Groups, begin, end, sums);
      __syncthreads();
      store_part(s, sums);
      __syncthreads();
      for (int i = 0; i < Own::kCount; ++i) {
        const Own own(i, channels);
        if (own.channel >= c.value_width || own.row >= t.rows()) continue;
        const float sum = sum_of_warps(s, own, channels);
        if (cut.splits > 1) {
          store_partial(call, s, own.row, own.channel, segment, sum);
          continue;
        }
        // Where sums of earlier segments wait: registers have no room for them, and the output is written anyway.
        float* all = output_row(c, t, own.row) + own.channel;
        const float before = segment == from ? 0.0f : *all, joint = joined(s.joins[own.row], before, sum);
        *all = segment == to ? joint * mean_factor(s.all_total[own.row]) : joint;
      }
    }
  }
}

__global__ void __launch_bounds__(kMergeThreads) merge_segments(const AttendCall call) {
  const Attention& c = call.c;
  const AttentionCut& cut = call.cut;
  const Tile t = find_tile(c, cut);
  if (!t.there) return;
  const int first = t.key_begin / kSegment, last = (t.key_end - 1) / kSegment;
  const int64_t tile = int64_t(blockIdx.x) * gridDim.y + blockIdx.y;
  for (int i = threadIdx.x; i < t.rows() * c.value_width; i += kMergeThreads) {
    const int row = i / c.value_width, channel = i % c.value_width;
    float sum = 0.0f, maximum = 0.0f, total = 0.0f;
    for (int segment = first; segment <= last; ++segment) {
      const float* partial = call.partials + ((tile * cut.segments + segment) * kTileRows + row) * cut.row_floats;
      const Join j = join(maximum, total, partial[c.value_width], partial[c.value_width + 1]);
      sum = joined(j, sum, partial[channel]);
      maximum = j.maximum;
      total = j.total;
    }
    output_row(c, t, row)[channel] = sum * mean_factor(total);
  }
}

}  // namespace youtu::cuda
