// A matrix of 4- or 8-bit codes as it lies in weights.bin, checked once when the session is made.
#pragma once

#include "runtime.h"

namespace youtu {

// Rows [heads * rows, k] in tiles of 16; docs/package-format.md draws the layout. The memory belongs to the session.
struct QuantisedMatrix {
  // Reads the attributes N, bits, block_size and heads, and the initializers codes, scales, zero_points and minimums from
  // input `first` on. Refuses shapes that do not fit each other, and scales or minimums that are not finite, by the
  // tensor's name.
  QuantisedMatrix(const Node& node, size_t first);

  // Refuses ids [T] that are no rows.
  void check_ids(const Tensor& ids) const;

  size_t rows;   // of one head
  int bits;
  size_t block;
  size_t heads, tiles_per_head;
  size_t k;      // values of a row
  const uint8_t* codes;
  const uint16_t* scales;       // float16
  const uint8_t* zero_points;   // null: half of the range of the codes
  const uint16_t* minimums;     // float16; null without
};

}  // namespace youtu
