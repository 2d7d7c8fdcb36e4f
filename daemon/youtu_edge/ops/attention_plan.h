// Cuts a PagedAttention call into tasks.
//
//   sequence 0  |----------- tile -----------|--- tile ---|      query tokens: as many as make kMaxTaskRows rows
//                 split | split | split                          keys: only when there are too few tiles for the threads,
//                                                                at whole segments; the partial results are merged
//   A small call is one task per tile, without splits, on the calling thread. How it is cut changes no result.
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
  int task_rows = 0;                  // the most rows of any task
  bool parallel = false;

  void build(const AttentionCall&, const Ragged&, int threads);
};

}  // namespace youtu
