// The layout of one attention task's scratch memory, shared by the code that allocates it and the kernels that use it.
// Functions are static: this is compiled once per instruction set, and the linker must not merge the versions.
#pragma once

#include "kernels.h"

namespace youtu {

// Offsets in floats. Strides are multiples of 16 floats.
struct WorkspaceLayout {
  size_t query_stride, sums_stride;
  size_t query, sums, all_sums, maximum, total, all_maximum, all_total, scores, keys, values, end;
};

static WorkspaceLayout workspace_layout(const AttentionCall& call, size_t rows) {
  const auto padded = [](size_t n) { return (n + 15) / 16 * 16; };
  const size_t some = padded(rows);
  WorkspaceLayout l;
  l.query_stride = padded(call.width);
  l.sums_stride = padded(call.value_width);
  l.query = 0;
  l.sums = l.query + rows * l.query_stride;
  l.all_sums = l.sums + rows * l.sums_stride;
  l.maximum = l.all_sums + rows * l.sums_stride;
  l.total = l.maximum + some;
  l.all_maximum = l.total + some;
  l.all_total = l.all_maximum + some;
  l.scores = l.all_total + some;
  l.keys = l.scores + some * kKeyBlock;
  l.values = l.keys + kKeyBlock * l.query_stride;
  l.end = l.values + kKeyBlock * l.sums_stride;
  return l;
}

}  // namespace youtu
