#include "attention_work.h"

#include <algorithm>
#include <cstring>

#include "attention_workspace.h"

namespace youtu {

size_t attend_scratch(const AttentionCall& call, int rows) {
  return workspace_layout(call, rows).end;
}

namespace {

constexpr size_t kMergeRows = 8;          // rows that one task merges
constexpr size_t kMergeSerial = 1 << 15;  // partial results below which one thread merges

// A range of rows of a tile whose partial results are to be merged.
struct Rows {
  const AttentionTask* task;  // the first of the tile
  size_t segments, begin, end;
};

ScratchPool& scratch() {
  static ScratchPool pool;
  return pool;
}

size_t result_floats(const AttentionCall& call, const AttentionTask& task) {
  return task.partial ? segments_of(task) * task.partial_stride : size_t(rows_of(task)) * call.value_width;
}

}  // namespace

AttentionWork::AttentionWork(const AttentionCall& call, AttentionPlan plan)
    : call_(call), plan_(std::move(plan)), kernels_(kernels()) {
  if (plan_.partial_floats > 0) partials_.emplace(scratch(), plan_.partial_floats);
}

void AttentionWork::keep_inputs(const Ragged& ragged) {
  const size_t width = size_t(call_.heads) * call_.width;
  query_.emplace(scratch(), ragged.tokens * width);
  for (size_t t = 0; t < ragged.tokens; ++t)
    std::memcpy(query_->data() + t * width, call_.query + t * call_.query_stride, width * sizeof(float));
  call_.query = query_->data();
  call_.query_stride = width;

  size_t pages = 0;
  for (const AttentionTask& task : plan_.tasks) pages = std::max(pages, divide_up(task.key_end, call_.page_tokens));
  block_table_.resize(ragged.sequences * pages);
  for (size_t b = 0; b < ragged.sequences; ++b)
    std::copy_n(call_.block_table + b * call_.table_width, pages, &block_table_[b * pages]);
  call_.block_table = block_table_.data();
  call_.table_width = pages;
}

const float* AttentionWork::compute(size_t index) const {
  thread_local std::vector<float> memory;
  const AttentionTask& task = plan_.tasks[index];
  const size_t working = attend_scratch(call_, plan_.task_rows), count = working + result_floats(call_, task);
  if (memory.size() < count) memory.resize(count);
  kernels_.attend(call_, task, memory.data(), memory.data() + working);
  return memory.data() + working;
}

void AttentionWork::commit(size_t index, const float* computed) const {
  const AttentionTask& task = plan_.tasks[index];
  if (task.partial) {
    std::memcpy(partials_->data() + task.partial_begin, computed, result_floats(call_, task) * sizeof(float));
    return;
  }
  const size_t count = size_t(task.group) * call_.value_width;  // adjacent heads
  for (int kv_head = task.kv_begin; kv_head < task.kv_end; ++kv_head)
    for (int token = task.token_begin; token < task.token_end; ++token, computed += count) {
      const size_t head = size_t(kv_head) * call_.group + task.group_begin;
      std::memcpy(call_.output + (size_t(token) * call_.heads + head) * call_.value_width, computed, count * sizeof(float));
    }
}

void AttentionWork::merge(const Context& context) const {
  std::vector<Rows> merges;
  for (const AttentionPlan::Tile& tile : plan_.tiles)
    if (tile.splits > 1)
      for (size_t row = 0; row < tile.rows; row += kMergeRows)
        merges.push_back({&plan_.tasks[tile.first_task], tile.segments, row, std::min(tile.rows, row + kMergeRows)});
  const auto merge_rows = [&](size_t i) {
    const Rows& rows = merges[i];
    kernels_.merge(call_, *rows.task, partials_->data() + rows.task->partial_begin, rows.segments, rows.begin, rows.end);
  };
  if (plan_.partial_floats >= kMergeSerial) return context.parallel_for(merges.size(), merge_rows);
  for (size_t i = 0; i < merges.size(); ++i) merge_rows(i);
}

}  // namespace youtu
