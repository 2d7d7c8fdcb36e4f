// The tasks of one PagedAttention call.
#pragma once

#include <optional>

#include "attention_plan.h"
#include "scratch.h"
#include "worker_pool.h"

namespace youtu {

// Each task commits its results, or partial results where keys are split; merge() combines the latter.
class AttentionWork : public RepeatableWork {
 public:
  AttentionWork(const AttentionCall& call, AttentionPlan plan);

  // Copies the queries and the block table, which a late worker may read after the call has ended. Cache and rotary tables
  // live as long as the session.
  void keep_inputs(const Ragged& ragged);

  size_t tasks() const override { return plan_.tasks.size(); }
  const float* compute(size_t task) const override;
  void commit(size_t task, const float* computed) const override;
  // Call after all tasks.
  void merge(const Context& context) const;

 private:
  AttentionCall call_;
  const AttentionPlan plan_;
  const Kernels& kernels_;
  std::optional<ScratchPool::Lease> query_, partials_;
  std::vector<int32_t> block_table_;
};

}  // namespace youtu
