// The tasks of one PagedAttention call.
#pragma once

#include <optional>

#include "attention_plan.h"
#include "scratch.h"
#include "worker_pool.h"

namespace youtu {

// Results, and partial results where keys are split, are committed task by task; merge() makes results of the latter.
class AttentionWork : public RepeatableWork {
 public:
  AttentionWork(const AttentionCall& call, AttentionPlan plan);

  // Copies what ends with the call, for workers that come too late: the queries and the block table. Cache and rotary tables
  // belong to the session.
  void keep_inputs(const Ragged& ragged);

  size_t tasks() const override { return plan_.tasks.size(); }
  const float* compute(size_t task) const override;
  void commit(size_t task, const float* computed) const override;
  // After all tasks.
  void merge(const Context& context) const;

 private:
  AttentionCall call_;
  const AttentionPlan plan_;
  const Kernels& kernels_;
  std::optional<ScratchPool::Lease> query_, partials_;
  std::vector<int32_t> block_table_;
};

}  // namespace youtu
