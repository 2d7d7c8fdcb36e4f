// Linear for a range of tiles and of activation rows; quantisation of activations to eight bits.
//
//   y[t, n] = fold over blocks b, ascending:  y = fma(float(sum_k (code - zero) * a[t, k]), scale[n, b] * sa[t, b], y)
//
// With minimums, zero is the middle of the code range, and the weight of that code times the sum of the block's values is
// added: y = fma(fma(scale[n, b], middle, minimum[n, b]), sum_k x[t, k], y). Here x is not rounded to eight bits.
//
// Sums of products are integers and x is summed in a fixed order, so y is bit-identical for any threads, instruction set
// and other rows.
#pragma once

#include "integer_dot.h"
#include "kernels.h"

namespace youtu::YOUTU_ISA {

// Rows per unpacking of the weights: their sums (on ARM, those of half a tile) fit into half of the registers.
constexpr int kMostRows = kRegisters == 32 ? 8 : 4;
constexpr bool kByRow = kWidth == 4 && kRegisters == 16;  // the fallback: several rows together are no faster

// How far ahead of its use R rows' weights are fetched. One row waits for memory in any case, and the processor's own
// prefetching does better alone; with VNNI several rows are multiplied so fast that 2 KB are too late (docs/lab/operators.md).
template <int R>
constexpr size_t kPrefetchBytes = kVnni && R > 1 ? 6144 : 2048;

enum class Offset { kMiddle, kZeros, kMinimums };

// One tile of the matrix, and a group of R rows of activations for one head.
struct TileTimesGroup {
  size_t block, blocks;
  const uint8_t* codes;             // [blocks, block * bits / 32, kTileRows, 4]
  const half* scales;               // [blocks, kTileRows]; the next two likewise
  const uint8_t* zero_points;
  const half* minimums;
  const int8_t* activations;        // [blocks, block / 4, R, 4]
  const float* activation_scales;   // [blocks, R]; the next two likewise
  const float* negative_sums;
  const float* activation_totals;
};

// The factors of a block for one register of a tile.
struct Factors {
  V scale, zero, middle;
};

template <int Bits, Offset kOffset>
YOUTU_INLINE Factors factors(const TileTimesGroup& c, size_t at) {
  constexpr float kMiddle = Bits == 8 ? 128.0f : 8.0f, kShift = Bits == 8 ? kEightBitShift : 0;
  const V scale = load(c.scales + at);
  const V zero = kOffset == Offset::kZeros ? load(c.zero_points + at) - splat(kShift) : splat(kMiddle - kShift);
  const V middle = kOffset == Offset::kMinimums ? fma(scale, splat(kMiddle), load(c.minimums + at)) : scale;
  return {scale, zero, middle};
}

// Adds a row's part of a block to its total, given the sums of products.
template <Offset kOffset>
YOUTU_INLINE void accumulate(const TileTimesGroup& c, const Factors& f, size_t row, Int sums, V& total) {
  // Integers below 2^24 are exact in float: no rounding before the scale.
  const V dot = fma(f.zero, splat(c.negative_sums[row]), sums_to_float(sums));
  total = fma(dot, f.scale * splat(c.activation_scales[row]), total);
  if constexpr (kOffset == Offset::kMinimums) total = fma(f.middle, splat(c.activation_totals[row]), total);
}

// Block b, given its codes, for rows Begin to Begin + T - 1 of R and registers from First on.
template <int Bits, Offset kOffset, int R, int Begin, int T, int First>
YOUTU_INLINE void add_block(const TileTimesGroup& c, size_t b, const uint8_t* codes, const int8_t* activations,
                            V (&total)[R][kWhole]) {
  constexpr int kLast = First + kPartsAtOnce<T>;
  static_assert(T == R || kPartsAtOnce<T> == kWhole);
  Int sums[T][kPartsAtOnce<T>];
  dot_block<Bits>(codes + First * kWidth * 4, activations + Begin * 4, R, c.block, sums);
YOUTU_UNROLL
  for (int p = First; p < kLast; ++p) {
    const Factors f = factors<Bits, kOffset>(c, b * kTileRows + p * kWidth);
YOUTU_UNROLL
    for (int t = 0; t < T; ++t) accumulate<kOffset>(c, f, b * R + Begin + t, sums[t][p - First], total[Begin + t][p]);
  }
  if constexpr (kLast < kWhole) add_block<Bits, kOffset, R, Begin, T, kLast>(c, b, codes, activations, total);
}

// y[t] = tile . row t. `prefetch`: the weights are not in the CPU cache yet.
template <int Bits, Offset kOffset, int R>
static __attribute__((noinline)) void multiply_tile(const TileTimesGroup c, bool prefetch, float* y, size_t y_stride) {
  constexpr int kFirst = R <= kMostRows ? R : (R + 1) / 2;
  V total[R][kWhole];
YOUTU_UNROLL
  for (int t = 0; t < R; ++t)
YOUTU_UNROLL
    for (int p = 0; p < kWhole; ++p) total[t][p] = splat(0.0f);
  const size_t bytes = c.block * (kTileRows * Bits / 8);
  const uint8_t* codes = c.codes;
  const int8_t* activations = c.activations;
  for (size_t b = 0; b < c.blocks; ++b, codes += bytes, activations += c.block * R) {
    if (prefetch)
      for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(codes + line + kPrefetchBytes<R>);
    add_block<Bits, kOffset, R, 0, kFirst, 0>(c, b, codes, activations, total);
    if constexpr (R > kFirst) add_block<Bits, kOffset, R, kFirst, R - kFirst, 0>(c, b, codes, activations, total);
  }
YOUTU_UNROLL
  for (int t = 0; t < R; ++t)
YOUTU_UNROLL
    for (int p = 0; p < kWhole; ++p) store(y + t * y_stride + p * kWidth, total[t][p]);
}

// The same in one function for any number of rows. `c` is a copy, or the compiler would read its pointers again after each store.
template <int Bits, Offset kOffset>
static __attribute__((noinline)) void multiply_tile_by_row(const TileTimesGroup c, size_t rows, float* y,
                                                           size_t y_stride) {
  V total[kRowGroup][kWhole];
  for (size_t t = 0; t < rows; ++t)
    for (int p = 0; p < kWhole; ++p) total[t][p] = splat(0.0f);
  for (size_t b = 0; b < c.blocks; ++b) {
    const uint8_t* codes = c.codes + b * c.block * (kTileRows * Bits / 8);
    Factors f[kWhole];
    for (int p = 0; p < kWhole; ++p) f[p] = factors<Bits, kOffset>(c, b * kTileRows + p * kWidth);
    for (size_t t = 0; t < rows; ++t) {
      Int sums[1][kWhole];
      dot_block<Bits>(codes, c.activations + b * c.block * rows + t * 4, rows, c.block, sums);
      for (int p = 0; p < kWhole; ++p) accumulate<kOffset>(c, f[p], b * rows + t, sums[0][p], total[t][p]);
    }
  }
  for (size_t t = 0; t < rows; ++t)
    for (int p = 0; p < kWhole; ++p) store(y + t * y_stride + p * kWidth, total[t][p]);
}

// For `rows` rows, at most R.
template <int Bits, Offset kOffset, int R>
static void multiply_rows(const TileTimesGroup& c, size_t rows, bool prefetch, float* y, size_t y_stride) {
  if constexpr (kByRow) {
    multiply_tile_by_row<Bits, kOffset>(c, rows, y, y_stride);
  } else {
    if constexpr (R > 1)
      if (rows < R) return multiply_rows<Bits, kOffset, R - 1>(c, rows, prefetch, y, y_stride);
    multiply_tile<Bits, kOffset, R>(c, prefetch, y, y_stride);
  }
}

template <int Bits, Offset kOffset>
static void multiply_as(const LinearCall& c, const TileRange& r, float* y) {
  const size_t blocks = c.k / c.block, stride = (r.tile_end - r.tile_begin) * kTileRows;
  for (size_t tile = r.tile_begin; tile < r.tile_end; ++tile, y += kTileRows) {
    const size_t head = tile / c.tiles_per_head, first = tile * blocks * kTileRows;
    for (size_t row = r.row_begin; row < r.row_end; row += kRowGroup) {
      const size_t rows = r.row_end - row < kRowGroup ? r.row_end - row : kRowGroup;
      const size_t at = row * c.heads * blocks + head * blocks * rows;
      const TileTimesGroup part{c.block,
                                blocks,
                                c.codes + first * c.block * Bits / 8,
                                reinterpret_cast<const half*>(c.scales) + first,
                                c.zero_points + first,
                                reinterpret_cast<const half*>(c.minimums) + first,
                                c.activations + at * c.block,
                                c.activation_scales + at,
                                c.activation_negative_sums + at,
                                c.activation_totals + at};
      multiply_rows<Bits, kOffset, kRowGroup>(part, rows, row == r.row_begin, y + (row - r.row_begin) * stride, stride);
    }
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

// A group of rows in blocks of `block` values: x = codes * scale, rounded to nearest even by adding kMagic, after which a
// float has no fraction bits. The maximum magnitude is taken over the bits, which order NaN and infinity above all numbers.
static void quantise(const float* x, size_t rows, size_t width, size_t block, int8_t* codes, float* scales,
                     float* negative_sums, float* totals) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  for (size_t row = 0; row < rows; ++row)
    for (size_t b = 0; b < width / block; ++b, x += block) {
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
      int8_t rounded[256];
      int32_t code_sum = 0;
      for (size_t i = 0; i < block; ++i) {
        const float shifted = x[i] * inverse + kMagic;
        int32_t bits;
        std::memcpy(&bits, &shifted, 4);
        rounded[i] = int8_t(bits);
        code_sum += rounded[i];
      }
      for (size_t i = 0; i < block; i += 4) std::memcpy(codes + (b * block + i) * rows + row * 4, rounded + i, 4);
      Sixteen added = sixteen_zeros();
      for (size_t i = 0; i < block; i += 16)
        for (int l = 0; l < 16 / kWidth; ++l) added.v[l] = added.v[l] + load(x + i + l * kWidth);
      totals[b * rows + row] = sum(added);
      scales[b * rows + row] = magnitude / 127.0f;
      negative_sums[b * rows + row] = float(-code_sum);
    }
}

}  // namespace youtu::YOUTU_ISA
