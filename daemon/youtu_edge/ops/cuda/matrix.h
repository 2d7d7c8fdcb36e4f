// A matrix of 4- or 8-bit codes as it lies in weights.bin, and activations of eight bits: where what lies.
//
// Rows [heads * rows, k] come in tiles of 16; docs/package-format.md draws the layout. A group is 64 bytes:
//
//   8 bits   | k..k+3 of row 0 | k..k+3 of row 1 | … | k..k+3 of row 15 |
//   4 bits     the same, values k..k+3 in the low nibbles and k+4..k+7 in the high ones
//
// A block of values has block * bits / 32 groups, a tile k * bits / 32.
#pragma once

#include "device.h"
#include "interface.h"

namespace youtu::cuda {

constexpr int kTileRows = 16;
constexpr int kGroupBytes = 64;
constexpr uint32_t kNibbles = 0x0f0f0f0f, kFlip = 0x80808080;

using Matrix = YoutuMatrix;
using Activations = YoutuActivations;

YOUTU_HD int tiles_per_head(const Matrix& m) { return int(divide_up(size_t(m.rows), kTileRows)); }
YOUTU_HD int blocks_of(const Matrix& m) { return int(m.k / m.block); }
YOUTU_HD int groups_of_block(const Matrix& m) { return m.block * m.bits / 32; }
// The first group of a tile.
YOUTU_HD const uint8_t* codes_of_tile(const Matrix& m, int tile) {
  return m.codes + size_t(tile) * blocks_of(m) * groups_of_block(m) * kGroupBytes;
}
// Where scale, zero point or minimum of row 0 of block b lies; those of rows 1 to 15 follow.
YOUTU_HD size_t first_scale(const Matrix& m, int tile, int b) {
  return (size_t(tile) * blocks_of(m) + b) * kTileRows;
}

// The codes of eight bits are taken as signed ones, code - 128, so that a block's sum stays below 2^22 (exact_float). The
// zero points are shifted by as much.
YOUTU_HD float code_shift(const Matrix& m) { return m.bits == 8 ? 128.0f : 0.0f; }
YOUTU_HD float middle_code(const Matrix& m) { return m.bits == 8 ? 128.0f : 8.0f; }

// A weight's part of what follows from its scale: computed once, used for every row.
struct Weight {
  float scale, zero;
  float middle;  // what a weight of the middle code is worth; only with minimums
};
YOUTU_DEVICE Weight weight_at(const Matrix& m, size_t at) {
  Weight w;
  w.scale = widen(load1(m.scales + at));
  w.zero = (m.zero_points != nullptr ? float(load1(m.zero_points + at)) : middle_code(m)) - code_shift(m);
  w.middle = m.minimums != nullptr ? fused(w.scale, middle_code(m), widen(load1(m.minimums + at))) : 0.0f;
  return w;
}

}  // namespace youtu::cuda
