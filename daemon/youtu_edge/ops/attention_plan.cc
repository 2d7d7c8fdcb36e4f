#include "attention_plan.h"

#include <algorithm>

namespace youtu {
namespace {

// Multiply-adds. Below kSerial a second thread costs more than it saves; a task should last tens of microseconds.
constexpr double kSerial = 2e5, kSmallestTask = 2e5;
constexpr int kTasksPerThread = 3;

double work_of(const AttentionCall& call, const AttentionTask& task) {
  return double(rows_of(task)) * (task.key_end - task.key_begin) * (call.width + call.value_width);
}

// One task for each tile, with all of its keys; each takes at most `most` kv heads and `group` heads of each.
std::vector<AttentionTask> cut_queries(const AttentionCall& call, const Ragged& ragged, int most, int group) {
  std::vector<AttentionTask> tasks;
  for (size_t b = 0; b < ragged.sequences; ++b) {
    const int count = ragged.count(b);
    const int tokens = std::min(count, std::max(1, kMaxTaskRows / group));
    const int kv_heads = std::clamp(kMaxTaskRows / (std::max(1, tokens) * group), 1, most);
    for (int token = 0; token < count; token += tokens)
      for (int head = 0; head < call.kv_heads; head += kv_heads)
        for (int part = 0; part < call.group; part += group) {
          AttentionTask task{};
          task.sequence = int(b);
          task.token_begin = ragged.cumulative[b] + token;
          task.token_end = ragged.cumulative[b] + std::min(count, token + tokens);
          task.position = ragged.past[b] + token;
          task.last_position = ragged.past[b] + count - 1;
          task.causal = call.causal && !(call.bidirectional_prefix && ragged.past[b] == 0);
          task.kv_begin = head;
          task.kv_end = std::min(call.kv_heads, head + kv_heads);
          task.group_begin = part;
          task.group = std::min(group, call.group - part);
          task.key_begin = call.window > 0 ? std::max(0, task.position - call.window + 1) : 0;
          task.key_end = 1 + (task.causal ? task.position + task.token_end - task.token_begin - 1 : task.last_position);
          tasks.push_back(task);
        }
  }
  return tasks;
}

}  // namespace

int rows_of(const AttentionTask& task) {
  return (task.token_end - task.token_begin) * task.group * (task.kv_end - task.kv_begin);
}

int segments_of(const AttentionTask& task) {
  return std::max(1, (task.key_end + kSegment - 1) / kSegment - task.key_begin / kSegment);
}

void AttentionPlan::build(const AttentionCall& call, const Ragged& ragged, int threads) {
  std::vector<AttentionTask> whole = cut_queries(call, ragged, call.kv_heads, call.group);
  double total = 0.0;
  int segments = 0;
  for (const AttentionTask& task : whole) {
    total += work_of(call, task);
    segments += segments_of(task);
  }
  parallel = threads > 1 && total > kSerial;
  // A short context has too few segments for all threads, so heads are distributed instead.
  const int parts = std::min((kTasksPerThread * threads + segments - 1) / std::max(1, segments), int(total / kSmallestTask));
  if (parallel && parts > 1) {
    const int most = std::max(1, call.kv_heads / parts);
    whole = cut_queries(call, ragged, most, call.kv_heads > 1 ? call.group : std::max(1, call.group / parts));
  }

  const double target = std::max(kSmallestTask, total / (kTasksPerThread * threads));
  for (AttentionTask& task : whole) {
    task_rows = std::max(task_rows, rows_of(task));
    const int count = segments_of(task), first = task.key_begin / kSegment;
    const int wanted = parallel ? std::clamp(int(work_of(call, task) / target + 0.999), 1, count) : 1;
    const int step = (count + wanted - 1) / wanted, splits = (count + step - 1) / step;
    task.partial_stride = size_t(rows_of(task)) * (call.value_width + 2);
    tiles.push_back({tasks.size(), size_t(splits), size_t(count), size_t(rows_of(task))});
    task.partial = splits > 1;
    for (int s = 0; s < splits; ++s) {
      AttentionTask part = task;
      part.key_begin = std::max(task.key_begin, (first + s * step) * kSegment);
      part.key_end = std::min(task.key_end, (first + (s + 1) * step) * kSegment);
      part.partial_begin = partial_floats + s * step * task.partial_stride;
      tasks.push_back(part);
    }
    if (splits > 1) partial_floats += task.partial_stride * count;
  }
}

}  // namespace youtu
