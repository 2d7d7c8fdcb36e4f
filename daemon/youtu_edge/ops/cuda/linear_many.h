// Linear for more than eight rows, on tensor cores: mma m16n8k32 of signed bytes. The bits of linear_few.h.
//
//   one warp      a tile of 16 rows of the matrix x 8 * N rows of x (tokens), all of k: it owns its outputs, and folds
//                 their blocks in ascending order in registers
//   four warps    four tiles that share the activations, a chunk of k at a time, in shared memory
//
// A fragment has four values of k in each word, and sums of integers have no order: so k is dealt as the layout has it. In
// 32 values, lane 4 g + t takes k 8t .. 8t + 7 of rows g and g + 8, and of token g:
//
//   4 bits   word of group t              a[0], a[1] its low nibbles, a[2], a[3] its high ones
//   8 bits   words of groups 2t, 2t + 1   a[0], a[1] and a[2], a[3]
//
// A block of 16 values leaves lanes with t >= 2 without any: they multiply zeros.
#pragma once

#include "matrix.h"

namespace youtu::cuda {

constexpr int kManyWarps = 4, kManyThreads = kManyWarps * kWarp;
constexpr int kFragmentK = 32, kFragmentTokens = 8;
constexpr int kChunkK = 128;    // or a block, where that is larger
constexpr int kTokenPad = 32;   // bytes: tokens begin eight banks apart

struct ManyCall {
  Matrix m;
  Activations a;
  int64_t rows;
  float* y;
  int chunk_k;   // a multiple of the block
};

YOUTU_HD int chunk_of(const Matrix& m) { return m.block > kChunkK ? m.block : kChunkK; }

// codes [tokens, chunk_k + pad] | scales, minus sums, totals [3, blocks of the chunk, tokens]
YOUTU_HD size_t shared_many(const Matrix& m, int tokens) {
  const size_t chunk = chunk_of(m);
  return tokens * (chunk + kTokenPad) + 3 * (chunk / m.block) * tokens * sizeof(float);
}

// The activations of a chunk of k, of all tokens of the thread block. Tokens that are not there are zeros.
template <int Tokens>
struct SharedActivations {
  int8_t* codes;
  float *scales, *negative_sums, *totals;
  int stride;

  YOUTU_DEVICE SharedActivations(char* memory, int chunk_k, int blocks)
      : codes(reinterpret_cast<int8_t*>(memory)),
        scales(reinterpret_cast<float*>(memory + Tokens * (chunk_k + kTokenPad))),
        negative_sums(scales + blocks * Tokens),
        totals(negative_sums + blocks * Tokens),
        stride(chunk_k + kTokenPad) {}

  // Values [begin, begin + count) of the head's part of the rows from `first` on.
  YOUTU_DEVICE void load(const ManyCall& c, int head, int64_t first, int64_t begin, int count) {
    const int pieces = count / 16;
    for (int i = threadIdx.x; i < Tokens * pieces; i += kManyThreads) {
      const int token = i / pieces, at = i % pieces * 16;
      const int64_t row = first + token;
      const Words4 words = row < c.rows ? load16(c.a.codes + (row * c.m.heads + head) * c.m.k + begin + at)
                                        : Words4{{0, 0, 0, 0}};
      *reinterpret_cast<Words4*>(codes + token * stride + at) = words;
    }
    const int blocks = count / c.m.block;
    for (int i = threadIdx.x; i < Tokens * blocks; i += kManyThreads) {
      const int token = i / blocks, b = i % blocks;
      const int64_t row = first + token, at = ((row * c.m.heads + head) * c.m.k + begin) / c.m.block + b;
      const bool there = row < c.rows;
      scales[b * Tokens + token] = there ? load1(c.a.scales + at) : 0.0f;
      negative_sums[b * Tokens + token] = there ? load1(c.a.negative_sums + at) : 0.0f;
      totals[b * Tokens + token] = there ? load1(c.a.totals + at) : 0.0f;
    }
  }
};

// What a lane brings of 32 values of k, from group `group` of the tile on; zeros where `there` is false.
template <int Bits>
YOUTU_DEVICE void load_weights(const uint8_t* codes, int group, bool there, uint32_t (&a)[4]) {
  const int g = int(threadIdx.x) % kWarp / 4, t = int(threadIdx.x) % 4;
  if (!there) {
    a[0] = a[1] = a[2] = a[3] = 0;
    return;
  }
  if constexpr (Bits == 4) {
    const uint8_t* at = codes + size_t(group + t) * kGroupBytes + g * 4;
    const uint32_t upper = load4(at), lower = load4(at + 32);
    a[0] = upper & kNibbles;
    a[1] = lower & kNibbles;
    a[2] = upper >> 4 & kNibbles;
    a[3] = lower >> 4 & kNibbles;
  } else {
    const uint8_t* at = codes + size_t(group + 2 * t) * kGroupBytes + g * 4;
    a[0] = load4(at) ^ kFlip;
    a[1] = load4(at + 32) ^ kFlip;
    a[2] = load4(at + kGroupBytes) ^ kFlip;
    a[3] = load4(at + kGroupBytes + 32) ^ kFlip;
  }
}

// Adds a block to the outputs of one fragment: rows g and g + 8, tokens 2t and 2t + 1.
template <int Tokens>
YOUTU_DEVICE void fold_block(const SharedActivations<Tokens>& x, int b, int n, const Weight (&w)[2], bool minimums,
                             const int32_t (&sums)[4], float (&y)[4]) {
YOUTU_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int at = b * Tokens + n * kFragmentTokens + int(threadIdx.x) % 4 * 2 + i % 2;
    const Weight& weight = w[i / 2];
    const float dot = fused(weight.zero, x.negative_sums[at], float_of(sums[i]) - kExact);
    y[i] = fused(dot, weight.scale * x.scales[at], y[i]);
    if (minimums) y[i] = fused(weight.middle, x.totals[at], y[i]);
  }
}

template <int Bits, int N>
__global__ void __launch_bounds__(kManyThreads, 4) linear_many(const ManyCall c) {
  constexpr int kTokens = N * kFragmentTokens, kGroups = Bits;  // of a fragment: 32 * Bits / 32
  const int lane = int(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
  const int per_head = tiles_per_head(c.m), quads = int(divide_up(per_head, kManyWarps));
  const int head = int(blockIdx.y) / quads, wanted = int(blockIdx.y) % quads * kManyWarps + int(threadIdx.x) / kWarp;
  const int in_head = wanted < per_head ? wanted : per_head - 1, tile = head * per_head + in_head;
  const int64_t first = int64_t(blockIdx.x) * kTokens;
  const uint8_t* codes = codes_of_tile(c.m, tile);
  SharedActivations<kTokens> x(shared_memory(), c.chunk_k, c.chunk_k / c.m.block);
  const bool there = c.m.block >= kFragmentK || t < 2, minimums = c.m.minimums != nullptr;
  const int step_k = c.m.block < kFragmentK ? c.m.block : kFragmentK, step_groups = step_k * kGroups / kFragmentK;

  float y[N][4] = {};
  int group = 0, b = 0;
  uint32_t a[4], next[4];
  const int groups = int(c.m.k) / 32 * Bits + int(c.m.k) % 32 * Bits / 32;
  load_weights<Bits>(codes, 0, there, next);
  for (int64_t begin = 0; begin < c.m.k; begin += c.chunk_k) {
    const int count = int(c.m.k - begin < c.chunk_k ? c.m.k - begin : c.chunk_k);
    __syncthreads();
    x.load(c, head, first, begin, count);
    __syncthreads();
    for (int i = 0; i < count / c.m.block; ++i, ++b) {
      const size_t at = first_scale(c.m, tile, b) + g;
      const Weight w[2] = {weight_at(c.m, at), weight_at(c.m, at + 8)};
      int32_t sums[N][4];
YOUTU_UNROLL
      for (int n = 0; n < N; ++n) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = kExactBits;
      for (int k = i * c.m.block; k < (i + 1) * c.m.block; k += step_k) {
        for (int j = 0; j < 4; ++j) a[j] = next[j];
        group += step_groups;
        load_weights<Bits>(codes, group, there && group < groups, next);
YOUTU_UNROLL
        for (int n = 0; n < N; ++n) {
          const int8_t* token = x.codes + (n * kFragmentTokens + g) * x.stride + k + 8 * t;
          const Words2 brought = shared_at<Words2>(there ? token : x.codes);
          const uint32_t fragment[2] = {brought.word[0], brought.word[1]};
          multiply_fragments(sums[n], a, fragment);
        }
      }
YOUTU_UNROLL
      for (int n = 0; n < N; ++n) fold_block<kTokens>(x, i, n, w, minimums, sums[n], y[n]);
    }
  }
  if (wanted >= per_head) return;
YOUTU_UNROLL
  for (int n = 0; n < N; ++n)
YOUTU_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t row = first + n * kFragmentTokens + 2 * t + i % 2;
      const int64_t column = int64_t(in_head) * kTileRows + g + i / 2 * 8;
      if (row < c.rows && column < c.m.rows) c.y[(row * c.m.heads + head) * c.m.rows + column] = y[n][i];
    }
}

}  // namespace youtu::cuda
