// PagedAttention with the bits of ../attention_kernel.h: every sum has the same order, so there are no tensor cores.
//
// A thread block has a tile of up to R query rows, (token, head) pairs of one sequence and one kv head, which share every
// key that is read, and some segments of 256 keys. A segment goes through four phases, with barriers between them:
//
//   slots     where the keys lie; -1 for a dropped page
//   scores    two threads per key: eight of the sixteen lanes of a dot product each, for all R rows
//   softmax   one warp per row: blocks of 32 or 64 keys in order, with a running maximum; the factors are kept by block
//   values    threads own channels, two of P rows each, and add key after key
//
//   one split     segments are joined in order, the mean is the output
//   more splits   each segment's sums, maximum and total go to the workspace; merge_segments() joins them, in order
//
// Batch invariance: segments and blocks begin at absolute positions; how many splits there are changes no order.
#pragma once

#include "attention_segment.h"

namespace youtu::cuda {

template <int R, int P>
YOUTU_DEVICE void store_partial(const AttendCall& call, const AttendShared<R>& s, const Owner<R, P>& own, int segment,
                                const float (&sums)[P][2]) {
  const AttentionCut& cut = call.cut;
  const int64_t tile = int64_t(blockIdx.x) * gridDim.y + blockIdx.y;
  float* target = call.partials + ((tile * cut.segments + segment) * R + own.row) * cut.row_floats;
  YOUTU_UNROLL
  for (int i = 0; i < P; ++i, target += cut.row_floats) {
    for (int j = 0; j < 2; ++j)
      if (own.channel + j < call.c.value_width) target[own.channel + j] = sums[i][j];
    if (own.channel != 0) continue;
    target[call.c.value_width] = s.maximum[own.row + i];
    target[call.c.value_width + 1] = s.total[own.row + i];
  }
}

template <int R, int P>
__global__ void __launch_bounds__(kAttendThreads, 2) attend(const AttendCall call) {
  const Attention& c = call.c;
  const AttentionCut& cut = call.cut;
  const AttendShared<R> s(shared_memory(), c.width);
  if (threadIdx.x == 0) *s.tile = find_tile(c, cut);
  __syncthreads();
  const Tile& t = *s.tile;
  if (!t.there) return;
  load_queries(c, t, s);
  const int first = t.key_begin / kSegment, last = (t.key_end - 1) / kSegment;
  const int from = int(blockIdx.z) * cut.step > first ? int(blockIdx.z) * cut.step : first;
  const int to = int(blockIdx.z + 1) * cut.step - 1 < last ? int(blockIdx.z + 1) * cut.step - 1 : last;
  // A head wider than the threads' channels is gone through again for the others.
  for (int channels = 0; channels < c.value_width; channels += Owner<R, P>::kChannels) {
    const Owner<R, P> own(channels);
    __syncthreads();
    for (int i = 0; i < 2 * P; ++i) s.all[i * kAttendThreads] = 0.0f;
    if (threadIdx.x < R) s.all_maximum[threadIdx.x] = s.all_total[threadIdx.x] = 0.0f;
    for (int segment = from; segment <= to; ++segment) {
      const int base = segment * kSegment;
      const int begin = t.key_begin > base ? t.key_begin - base : 0;
      const int end = t.key_end - base < kSegment ? t.key_end - base : kSegment;
      __syncthreads();
      weigh_segment<R, P>(c, t, s, base, begin, end);
      if (own.channel >= c.value_width) continue;
      float sums[P][2] = {};
      add_values(c, t, s, own, begin, end, sums);
      if (cut.splits > 1) {
        store_partial(call, s, own, segment, sums);
        continue;
      }
      YOUTU_UNROLL
      for (int i = 0; i < P; ++i) {
        const Join j = s.joins[own.row + i];
        float* all = s.all + 2 * i * kAttendThreads;
        all[0] = joined(j, all[0], sums[i][0]);
        all[kAttendThreads] = joined(j, all[kAttendThreads], sums[i][1]);
      }
    }
    if (cut.splits > 1 || own.channel >= c.value_width) continue;
    for (int i = 0; i < P && own.row + i < t.rows(); ++i) {
      float* output = output_row(c, t, own.row + i) + own.channel;
      const float factor = mean_factor(s.all_total[own.row + i]);
      for (int j = 0; j < 2; ++j)
        if (own.channel + j < c.value_width) output[j] = s.all[(2 * i + j) * kAttendThreads] * factor;
    }
  }
}

template <int R>
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
      const float* partial = call.partials + ((tile * cut.segments + segment) * R + row) * cut.row_floats;
      const Join j = join(maximum, total, partial[c.value_width], partial[c.value_width + 1]);
      sum = joined(j, sum, partial[channel]);
      maximum = j.maximum;
      total = j.total;
    }
    output_row(c, t, row)[channel] = sum * mean_factor(total);
  }
}

}  // namespace youtu::cuda
