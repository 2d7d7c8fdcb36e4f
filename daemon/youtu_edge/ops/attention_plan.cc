#include "attention_plan.h"

#include <algorithm>

namespace youtu {
namespace {

// Multiply-adds. Below kSerial a second thread costs more than it brings; a task should last tens of microseconds.
constexpr double kSerial = 4e5, kSmallestTask = 5e5;
constexpr int kTasksPerThread = 3;

struct Range {
  int begin, end;
};

Range visible_keys(const AttentionCall& call, const AttentionTask& task) {
  const int tokens = task.token_end - task.token_begin;
  const int end = task.causal ? task.position + tokens : task.last_position + 1;
  return {call.window > 0 ? std::max(0, task.position - call.window + 1) : 0, end};
}

int rows_of(const AttentionCall& call, const AttentionTask& task) {
  return (task.token_end - task.token_begin) * call.group * (task.kv_end - task.kv_begin);
}

double work_of(const AttentionCall& call, const AttentionTask& task) {
  return double(rows_of(call, task)) * (task.key_end - task.key_begin) * (call.width + call.value_width);
}

}  // namespace

void AttentionPlan::build(const AttentionCall& call, const Ragged& ragged, int threads) {
  tiles.clear();
  tasks.clear();
  partial_floats = 0;
  task_rows = 0;

  std::vector<AttentionTask> whole;
  double total = 0.0;
  for (size_t b = 0; b < ragged.sequences; ++b) {
    const int count = ragged.count(b);
    if (count == 0) continue;
    const int tokens = std::min(count, std::max(1, kMaxTaskRows / call.group));
    const int kv_heads = std::min(call.kv_heads, std::max(1, kMaxTaskRows / (tokens * call.group)));
    for (int token = 0; token < count; token += tokens)
      for (int head = 0; head < call.kv_heads; head += kv_heads) {
        AttentionTask task{};
        task.sequence = int(b);
        task.token_begin = ragged.cumulative[b] + token;
        task.token_end = ragged.cumulative[b] + std::min(count, token + tokens);
        task.position = ragged.past[b] + token;
        task.last_position = ragged.past[b] + count - 1;
        task.causal = call.causal && !(call.bidirectional_prefix && ragged.past[b] == 0);
        task.kv_begin = head;
        task.kv_end = std::min(call.kv_heads, head + kv_heads);
        const Range keys = visible_keys(call, task);
        task.key_begin = keys.begin;
        task.key_end = keys.end;
        total += work_of(call, task);
        task_rows = std::max(task_rows, rows_of(call, task));
        whole.push_back(task);
      }
  }

  parallel = threads > 1 && total > kSerial;
  const double target = std::max(kSmallestTask, total / (kTasksPerThread * threads));
  for (AttentionTask& task : whole) {
    const int keys = task.key_end - task.key_begin, blocks = (keys + kKeyBlock - 1) / kKeyBlock;
    int splits = parallel ? std::min(blocks, int(work_of(call, task) / target + 0.999)) : 1;
    splits = std::max(splits, 1);
    const int step = (blocks + splits - 1) / splits * kKeyBlock;
    splits = (keys + step - 1) / step;
    Tile tile{tasks.size(), size_t(splits), partial_floats, size_t(rows_of(call, task)) * (call.value_width + 2)};
    if (splits > 1) partial_floats += tile.partial_stride * splits;
    tiles.push_back(tile);
    const Range all{task.key_begin, task.key_end};
    for (int s = 0; s < splits; ++s) {
      task.key_begin = all.begin + s * step;
      task.key_end = std::min(all.end, task.key_begin + step);
      tasks.push_back(task);
    }
  }
}

}  // namespace youtu
