// Linear for some tiles of a matrix and some rows of activations; activations to eight bits.
//
//   y[t, n] = fold over blocks b, ascending:  y = fma(float(sum_k (code - zero) * a[t, k]), scale[n, b] * sa[t, b], y)
//
// With minimums, zero is the middle of the codes, and what a weight of that code is worth times the sum of the block's
// values follows: y = fma(fma(scale[n, b], middle, minimum[n, b]), sum_k x[t, k], y). That part is not rounded to eight bits.
//
// The sums of products are integers and x is summed in a fixed order, so neither threads nor instruction sets change a bit
// of y, nor do the other rows.
#pragma once

#include "integer_dot.h"
#include "kernels.h"

namespace youtu::YOUTU_ISA {

constexpr int kWhole = kTileRows / kWidth;  // registers that one value of every row of a tile takes
constexpr size_t kPrefetchBytes = 2048;

enum class Offset { kMiddle, kZeros, kMinimums };

// Rows of activations for one head. What belongs to row t, block b, lies at t * blocks + b.
struct Rows {
  const int8_t* codes;
  size_t stride;
  const float* scales;
  const int32_t* sums;
  const float* totals;
  size_t blocks;
  bool first;  // the first to read these weights, which come from memory then
};

template <int T, int Parts>
YOUTU_INLINE void clear(Int (&sums)[T][Parts]) {
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p) sums[t][p] = splat_int(0);
}

// What the codes' zero, and the shift of dot_block(), add to the sums of a block.
template <int Bits, Offset kOffset, int T, int Parts>
YOUTU_INLINE void start_sums(const LinearCall& c, size_t at, const int32_t* row_sums, size_t blocks, Int (&sums)[T][Parts]) {
  constexpr int32_t kShift = Bits == 8 ? kEightBitShift : 0, kMiddle = Bits == 8 ? 128 : 8;
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const int32_t sum = row_sums[t * blocks];
    const Int start = splat_int(kOffset == Offset::kZeros ? kShift * sum : (kShift - kMiddle) * sum);
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p)
      sums[t][p] = kOffset != Offset::kZeros ? start
                                             : subtract(start, scaled_codes(c.zero_points + at + p * kWidth, sum));
  }
}

// T rows times `Parts` registers of rows of one tile, from `lane` on.
template <int Bits, Offset kOffset, int T, int Parts>
static void multiply_part(const LinearCall& c, size_t tile, size_t lane, const Rows& rows, float* y, size_t y_stride) {
  const size_t blocks = c.k / c.block, group_bytes = c.block * kTileRows * Bits / 8;
  const size_t first = tile * blocks * kTileRows + lane;
  const uint8_t* codes = c.codes + tile * blocks * group_bytes + lane * 4;
  const half* scales = reinterpret_cast<const half*>(c.scales) + first;

  V total[T][Parts];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p) total[t][p] = splat(0.0f);

  for (size_t b = 0; b < blocks; ++b, codes += group_bytes) {
    Int sums[T][Parts];
    const int32_t* row_sums = rows.sums + b;
    if constexpr (kZerosFirst)
      start_sums<Bits, kOffset>(c, first + b * kTileRows, row_sums, rows.blocks, sums);
    else
      clear(sums);
    if (rows.first)
      for (size_t line = 0; line < group_bytes; line += 64) __builtin_prefetch(codes + line + kPrefetchBytes);
    dot_block<Bits, T, Parts>(codes, rows.codes + b * c.block, rows.stride, c.block, sums);
    if constexpr (!kZerosFirst) {
      Int zeros[T][Parts];
      start_sums<Bits, kOffset>(c, first + b * kTileRows, row_sums, rows.blocks, zeros);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < Parts; ++p) sums[t][p] = add(sums[t][p], zeros[t][p]);
    }
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p) {
      const V scale = load(scales + b * kTileRows + p * kWidth);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        total[t][p] = fma(to_float(sums[t][p]), scale * splat(rows.scales[t * rows.blocks + b]), total[t][p]);
    }
    if constexpr (kOffset == Offset::kMinimums) {
#pragma GCC unroll 4
      for (int p = 0; p < Parts; ++p) {
        const V scale = load(scales + b * kTileRows + p * kWidth);
        const V minimum = load(reinterpret_cast<const half*>(c.minimums) + first + b * kTileRows + p * kWidth);
        const V middle = fma(scale, splat(Bits == 8 ? 128.0f : 8.0f), minimum);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) total[t][p] = fma(middle, splat(rows.totals[t * rows.blocks + b]), total[t][p]);
      }
    }
  }

#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < Parts; ++p) store(y + t * y_stride + p * kWidth, total[t][p]);
}

// T rows times one whole tile, in as many parts as the registers ask for.
template <int Bits, Offset kOffset, int T>
static void multiply_tile(const LinearCall& c, size_t tile, size_t row, bool first, float* y, size_t y_stride) {
  constexpr int kFitting = 8 / T;  // sums and totals take half of 16 registers each, at most
  constexpr int kParts = kFitting < 1 ? 1 : kFitting < kWhole ? kFitting : kWhole;
  const size_t blocks = c.k / c.block, head = tile / c.tiles_per_head;
  const size_t at = (row * c.heads + head) * blocks;
  const Rows rows{c.activations + row * c.activation_stride + head * c.k, c.activation_stride, c.activation_scales + at,
                  c.activation_sums + at, c.activation_totals + at, c.heads * blocks, first};
  for (size_t lane = 0; lane < kTileRows; lane += kParts * kWidth)
    multiply_part<Bits, kOffset, T, kParts>(c, tile, lane, rows, y + lane, y_stride);
}

// The last `rows` rows, at most T.
template <int Bits, Offset kOffset, int T>
static void multiply_rest(const LinearCall& c, size_t tile, size_t row, size_t rows, bool first, float* y, size_t y_stride) {
  if constexpr (T > 0) {
    if (rows == T) return multiply_tile<Bits, kOffset, T>(c, tile, row, first, y, y_stride);
    multiply_rest<Bits, kOffset, T - 1>(c, tile, row, rows, first, y, y_stride);
  }
}

template <int Bits, Offset kOffset>
static void multiply_as(const LinearCall& c, const TileRange& r, float* y) {
  constexpr int kMost = kRegisters == 32 && kWhole == 1 ? 8 : 4;  // rows that share one unpacking of the weights
  const size_t stride = (r.tile_end - r.tile_begin) * kTileRows;
  for (size_t tile = r.tile_begin; tile < r.tile_end; ++tile, y += kTileRows) {
    size_t row = r.row_begin;
    float* target = y;
    for (; row + kMost <= r.row_end; row += kMost, target += kMost * stride)
      multiply_tile<Bits, kOffset, kMost>(c, tile, row, row == r.row_begin, target, stride);
    multiply_rest<Bits, kOffset, kMost - 1>(c, tile, row, r.row_end - row, row == r.row_begin, target, stride);
  }
}

template <int Bits>
static void multiply_bits(const LinearCall& c, const TileRange& r, float* y) {
  if (c.minimums != nullptr) return multiply_as<Bits, Offset::kMinimums>(c, r, y);
  if (c.zero_points != nullptr) return multiply_as<Bits, Offset::kZeros>(c, r, y);
  multiply_as<Bits, Offset::kMiddle>(c, r, y);
}

static void multiply(const LinearCall& c, const TileRange& r, float* y) {
  c.bits == 4 ? multiply_bits<4>(c, r, y) : multiply_bits<8>(c, r, y);
}

// One row in blocks of `block` values: x = codes * scale, rounded to nearest even by adding what leaves no room for a
// fraction. The largest magnitude is found among the bits, which order NaN and infinity above every number.
static void quantise(const float* x, size_t count, size_t block, int8_t* codes, float* scales, int32_t* sums,
                     float* totals) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  for (size_t b = 0; b < count / block; ++b, x += block, codes += block) {
    int32_t highest = 0;
    for (size_t i = 0; i < block; ++i) {
      int32_t bits;
      std::memcpy(&bits, x + i, 4);
      bits &= 0x7fffffff;
      highest = bits > highest ? bits : highest;
    }
    float magnitude;
    std::memcpy(&magnitude, &highest, 4);
    const float inverse = highest == 0 ? 0.0f : 127.0f / magnitude;
    int32_t code_sum = 0;
    for (size_t i = 0; i < block; ++i) {
      const float shifted = x[i] * inverse + kMagic;
      int32_t bits;
      std::memcpy(&bits, &shifted, 4);
      codes[i] = int8_t(bits);
      code_sum += codes[i];
    }
    Sixteen added = sixteen_zeros();
    for (size_t i = 0; i < block; i += 16)
      for (int l = 0; l < 16 / kWidth; ++l) added.v[l] = added.v[l] + load(x + i + l * kWidth);
    totals[b] = sum(added);
    scales[b] = magnitude / 127.0f;
    sums[b] = code_sum;
  }
}

}  // namespace youtu::YOUTU_ISA
