// The threads that compute: the calling one, and workers that help it.
//
// Work is cut into small tasks that threads claim one by one. When another process takes a core, the worker on it stands
// still with the task it holds, for as long as the scheduler pleases; waiting for it would cost every step that time. So
// repeatable work is computed into memory of the thread's own and becomes a result with one step (`commit`), for which a
// thread needs the right: the caller takes that right away from a worker that stands still, and does the task itself.
//
//     free -> claimed -> committing -> done          a worker
//     free | claimed -> own -> done                  the caller
#pragma once

#include <cstddef>
#include <memory>

namespace youtu {

// Work whose tasks may be computed more than once, and by a worker that comes too late: it must not refer to memory that
// ends with the call.
class RepeatableWork {
 public:
  virtual ~RepeatableWork() = default;
  virtual size_t tasks() const = 0;
  // Computes a task into memory of the calling thread, which stays valid until its next call.
  virtual const float* compute(size_t task) const = 0;
  virtual void commit(size_t task, const float* computed) const = 0;
};

// How many threads compute from the next call on, the caller included, and how long a worker spins before it sleeps.
void set_threads(int threads, int spin_us);
int threads_in_use();

// body(state, i) for i in [0, count), each exactly once. False if one of them threw.
bool run_tasks(size_t count, void (*body)(const void*, size_t), const void* state);
bool run_repeatable(const std::shared_ptr<const RepeatableWork>& work);

// Returns when no worker computes any more: before memory goes that late workers may read.
void wait_for_late_workers();

}  // namespace youtu
