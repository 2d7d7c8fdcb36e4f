// Where the numbers of one attention task lie in its scratch memory: one layout for whoever takes the memory and whoever uses it.
// Static functions: this is compiled once for every instruction set, and the linker must not choose among them.
#pragma once

#include "kernels.h"

namespace youtu {

// Floats from the beginning. Rows of a stride begin at multiples of 16 floats.
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
