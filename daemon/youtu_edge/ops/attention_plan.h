// Cuts a PagedAttention call into tasks.
//
//   sequence 0  |----------- tile -----------|--- tile ---|      query tokens: up to kMaxTaskRows rows
//                 split | split | split                          keys: only if there are fewer tiles than threads,
//                                                                at segment boundaries; partial results are merged
//   A small call is one task per tile, without splits, on the calling thread. Results do not depend on the plan.
#pragma once

#include <vector>

#include "attention_inputs.h"

namespace youtu {

int rows_of(const AttentionTask&);
int segments_of(const AttentionTask&);

struct AttentionPlan {
  struct Tile {
    size_t first_task, splits;
    size_t segments, rows;
  };
  std::vector<Tile> tiles;
  std::vector<AttentionTask> tasks;
  size_t partial_floats = 0;
  int task_rows = 0;                  // maximum over all tasks
  bool parallel = false;

  void build(const AttentionCall&, const Ragged&, int threads);
};

}  // namespace youtu
