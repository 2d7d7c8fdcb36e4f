// Operators that know one row at a time: norms, SwiGLU, GeGLU, rows of a table. The bits of ../row_kernels.h and ../embedding.cc.
#pragma once

#include "matrix.h"

namespace youtu::cuda {

constexpr int kRowThreads = 256;

// x (+ residual, whose sum goes to `total`) / root mean square * gain. Sixteen lanes sum the squares, value i in lane
// i % 16, each in order; the row waits for them in shared memory, filled up with zeros to a multiple of 16.
__global__ void __launch_bounds__(kRowThreads) rms_norm(const float* __restrict__ x, const float* __restrict__ residual,
                                                        const float* __restrict__ gain, float epsilon, float* total,
                                                        float* output, int64_t width) {
  float* factor = reinterpret_cast<float*>(shared_memory());
  float* row = factor + 4;
  const int64_t first = int64_t(blockIdx.x) * width;
  for (int64_t i = threadIdx.x; i < int64_t(round_up(width, 16)); i += kRowThreads) {
    float value = i < width ? load1(x + first + i) : 0.0f;
    if (residual != nullptr && i < width) {
      value = value + load1(residual + first + i);
      total[first + i] = value;
    }
    row[i] = value;
  }
  __syncthreads();
  if (threadIdx.x < kWarp) {
    const int lane = int(threadIdx.x) % 16;
    float sum = 0.0f;
YOUTU_UNROLL_BY(8)
    for (int64_t i = lane; i < int64_t(round_up(width, 16)); i += 16) sum = fused(row[i], row[i], sum);
    sum = total_of_lanes(sum);
    if (threadIdx.x == 0) *factor = 1.0f / sqrtf(sum / float(width) + epsilon);
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < width; i += kRowThreads) output[first + i] = row[i] * *factor * load1(gain + i);
}

__global__ void __launch_bounds__(kRowThreads)
swiglu(const float* __restrict__ gate_up, float* __restrict__ output, int64_t rows, int64_t width) {
  const int64_t i = int64_t(blockIdx.x) * kRowThreads + threadIdx.x;
  if (i >= rows * width) return;
  const float* row = gate_up + i / width * 2 * width + i % width;
  const float gate = load1(row), up = load1(row + width);
  output[i] = gate / (1.0f + exponential(0.0f - gate)) * up;
}

__global__ void __launch_bounds__(kRowThreads)
geglu(const float* __restrict__ gate_up, float* __restrict__ output, int64_t rows, int64_t width) {
  const int64_t i = int64_t(blockIdx.x) * kRowThreads + threadIdx.x;
  if (i >= rows * width) return;
  const float* row = gate_up + i / width * 2 * width + i % width;
  const float gate = load1(row), up = load1(row + width);
  const float steepness = gate * fused(gate * gate, 0.0713548163f, 1.5957691216f);
  output[i] = gate / (1.0f + exponential(0.0f - steepness)) * up;
}

__global__ void __launch_bounds__(kRowThreads)
embedding(const Matrix m, const int64_t* __restrict__ ids, float* __restrict__ output) {
  const int64_t id = load1(ids + blockIdx.x);
  float* row = output + int64_t(blockIdx.x) * m.k;
  const bool there = id >= 0 && id < m.rows;
  const int tile = there ? int(id / kTileRows) : 0, lane = there ? int(id % kTileRows) : 0;
  const uint8_t* codes = codes_of_tile(m, tile) + lane * 4;
  for (int k = threadIdx.x; k < m.k; k += kRowThreads) {
    const size_t at = first_scale(m, tile, k / m.block) + lane;
    const float scale = widen(load1(m.scales + at));
    const float minimum = m.minimums != nullptr ? widen(load1(m.minimums + at)) : 0.0f;
    const int zero = m.minimums != nullptr ? 0 : m.zero_points != nullptr ? load1(m.zero_points + at) : 1 << (m.bits - 1);
    const int group = m.bits == 4 ? k / 8 : k / 4;
    const int byte = load1(codes + size_t(group) * kGroupBytes + k % 4);
    const int code = m.bits == 8 ? byte : k % 8 < 4 ? byte & 15 : byte >> 4;
    row[k] = there ? fused(scale, float(code - zero), minimum) : float_of(0x7fffffff);
  }
}

}  // namespace youtu::cuda
