#include "paged_attention.h"

#include <algorithm>
#include <memory>

#include "attention_work.h"

namespace youtu {

namespace {

constexpr size_t kStoreSerial = 1 << 17;  // cached values below which one thread stores them
constexpr size_t kStoreChunk = 16;        // tokens

// The slot of a token without slot_mapping, derived from its position and the block table.
int64_t derived_slot(const AttentionCall& call, size_t sequence, int position) {
  const int32_t page = call.block_table[sequence * call.table_width + position / call.page_tokens];
  return page < 0 ? -1 : int64_t(page) * call.page_tokens + position % call.page_tokens;
}

// Stores all keys of the step before any query reads them: sequences of one step may share pages.
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
  if (!plan.parallel) {
    const AttentionWork work(call, std::move(plan));
    for (size_t task = 0; task < work.tasks(); ++task) work.commit(task, work.compute(task));
    return;
  }
  const auto work = std::make_shared<AttentionWork>(call, std::move(plan));
  work->keep_inputs(ragged);
  if (!run_repeatable(work)) throw std::runtime_error(kOutOfScratch);
  work->merge(context);
}

}  // namespace youtu
