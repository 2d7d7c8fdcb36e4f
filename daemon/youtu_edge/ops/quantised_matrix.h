// A matrix of 4- or 8-bit codes in the layout of weights.bin, validated once when the session is created.
#pragma once

#include "runtime.h"

namespace youtu {

// Rows [heads * rows, k] in tiles of 16; docs/package-format.md shows the layout. The session owns the memory.
struct QuantisedMatrix {
  // Reads the attributes N, bits, block_size and heads, and the initializers codes, scales, zero_points and minimums from
  // input `first` on. Fails on inconsistent shapes and on scales or minimums that are not finite; the error names the
  // tensor.
  QuantisedMatrix(const Node& node, size_t first);

  // Fails on ids [T] outside the rows.
  void check_ids(const Tensor& ids) const;

  size_t rows;   // of one head
  int bits;
  size_t block;
  size_t heads, tiles_per_head;
  size_t k;      // values per row
  const uint8_t* codes;
  const uint16_t* scales;       // float16
  const uint8_t* zero_points;   // null: the middle of the code range
  const uint16_t* minimums;     // float16; null without
};

}  // namespace youtu
