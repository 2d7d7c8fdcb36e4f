#include "paged_attention.h"

#include <algorithm>
#include <vector>

#include "attention_plan.h"
#include "scratch.h"
#include "worker_pool.h"

namespace youtu {

size_t attend_scratch(const AttentionCall& call, int rows) {
  const auto padded = [](size_t n) { return (n + 15) / 16 * 16; };
  const size_t width = padded(call.width), value_width = padded(call.value_width), some = padded(rows);
  return rows * (width + 2 * value_width) + some * (4 + kKeyBlock) + kKeyBlock * (width + value_width);
}

namespace {

constexpr size_t kStoreSerial = 1 << 17;  // values written to the cache below which one thread does it
constexpr size_t kStoreChunk = 16;        // tokens
constexpr size_t kMergeRows = 8;          // rows that one task merges

// Some rows of a tile whose partial results are to be merged.
struct Rows {
  const AttentionTask* task;  // the first of the tile
  size_t segments, begin, end;
};

ScratchPool& scratch() {
  static ScratchPool pool;
  return pool;
}

// The slot of a token without slot_mapping: where the block table puts its position.
int64_t derived_slot(const AttentionCall& call, size_t sequence, int position) {
  const int32_t page = call.block_table[sequence * call.table_width + position / call.page_tokens];
  return page < 0 ? -1 : int64_t(page) * call.page_tokens + position % call.page_tokens;
}

// All keys of the step are in the cache before any query looks: sequences of one step may share pages.
void store_keys(const Context& context, const AttentionCall& call, const Ragged& ragged) {
  const auto store = [&](size_t begin, size_t end) {
    size_t b = 0;
    for (size_t token = begin; token < end; ++token) {
      while (size_t(ragged.cumulative[b + 1]) <= token) ++b;
      const int position = ragged.past[b] + int(token) - ragged.cumulative[b];
      const int64_t slot = ragged.slots ? ragged.slots[token] : derived_slot(call, b, position);
      if (slot >= 0) kernels().store_token(call, token, position, size_t(slot));
    }
  };
  if (ragged.tokens * call.kv_heads * call.width < kStoreSerial) return store(0, ragged.tokens);
  context.parallel_for((ragged.tokens + kStoreChunk - 1) / kStoreChunk, [&](size_t i) {
    store(i * kStoreChunk, std::min(ragged.tokens, (i + 1) * kStoreChunk));
  });
}

}  // namespace

void PagedAttention::compute(const Context& context) {
  AttentionCall call{};
  Ragged ragged{};
  read_attention_inputs(context, attributes_, call, ragged);
  call.output = context.output(0, {int64_t(ragged.tokens), int64_t(call.heads) * call.value_width});
  if (ragged.tokens == 0) return;
  store_keys(context, call, ragged);

  AttentionPlan plan;
  plan.build(call, ragged, threads_in_use());
  const Kernels& kernel = kernels();
  const size_t floats = attend_scratch(call, plan.task_rows);
  if (!plan.parallel) {
    ScratchPool::Lease lease(scratch(), floats);
    for (const AttentionTask& task : plan.tasks) kernel.attend(call, task, lease.data());
    return;
  }

  ScratchPool::Lease partials(scratch(), plan.partial_floats);
  std::vector<Rows> merges;
  for (const AttentionPlan::Tile& tile : plan.tiles) {
    if (tile.splits == 1) continue;
    AttentionTask* task = &plan.tasks[tile.first_task];
    for (size_t s = 0; s < tile.splits; ++s)
      task[s].partial = partials.data() + tile.partial + s * tile.segments_per_split * task[s].partial_stride;
    for (size_t row = 0; row < tile.rows; row += kMergeRows)
      merges.push_back({task, tile.segments, row, std::min(tile.rows, row + kMergeRows)});
  }
  context.parallel_for(plan.tasks.size(), [&](size_t i) {
    ScratchPool::Lease lease(scratch(), floats);
    kernel.attend(call, plan.tasks[i], lease.data());
  });
  context.parallel_for(merges.size(), [&](size_t i) {
    const Rows& rows = merges[i];
    kernel.merge(call, *rows.task, rows.task->partial, rows.segments, rows.begin, rows.end);
  });
}

}  // namespace youtu
