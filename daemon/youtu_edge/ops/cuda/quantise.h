// Activations to eight bits, in blocks: x = codes * scale, rounded to nearest even. The bits of ../linear_kernel.h.
#pragma once

#include "matrix.h"

namespace youtu::cuda {

constexpr int kQuantiseThreads = 128, kLanes = 16;

// Sixteen threads take a block: thread i has its values i, i + 16, … The largest magnitude is found among the bits, which
// order NaN and infinity above every number.
__global__ void __launch_bounds__(kQuantiseThreads)
quantise(const float* __restrict__ x, int64_t blocks, int block, Activations a) {
  const int64_t wanted = int64_t(blockIdx.x) * (kQuantiseThreads / kLanes) + threadIdx.x / kLanes;
  const int64_t b = wanted < blocks ? wanted : blocks - 1;  // those who have none help the last one, and write nothing
  const int lane = threadIdx.x % kLanes;
  const float* values = x + b * block;
  int32_t highest = 0;
  for (int i = lane; i < block; i += kLanes) {
    const int32_t bits = bits_of(load1(values + i)) & 0x7fffffff;
    highest = bits > highest ? bits : highest;
  }
  for (int mask = kLanes / 2; mask > 0; mask /= 2) {
    const int32_t other = shuffle_xor(highest, mask);
    highest = other > highest ? other : highest;
  }
  const float magnitude = float_of(highest);
  const float inverse = highest == 0 ? 0.0f : 127.0f / magnitude;
  int32_t code_sum = 0;
  float added = 0.0f;
  for (int i = lane; i < block; i += kLanes) {
    const float value = load1(values + i), shifted = value * inverse + kExact;
    const int8_t code = shifted == shifted ? int8_t(bits_of(shifted)) : int8_t(0);
    if (wanted < blocks) a.codes[b * block + i] = code;
    code_sum += code;
    added = added + value;
  }
  for (int mask = kLanes / 2; mask > 0; mask /= 2) code_sum += shuffle_xor(code_sum, mask);
  added = total_of_lanes(added);
  if (lane != 0 || wanted >= blocks) return;
  a.scales[b] = magnitude / 127.0f;
  a.negative_sums[b] = float(-code_sum);
  a.totals[b] = added;
}

}  // namespace youtu::cuda
