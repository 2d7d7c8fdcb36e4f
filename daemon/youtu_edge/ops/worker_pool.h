// The compute threads: the calling thread and its workers.
//
// Work is split into small tasks that threads claim one by one. When another process takes a core, the worker on it stalls
// with its task for a whole scheduler time slice; waiting for it would add that time to the step. So repeatable work is
// computed into thread-local memory and published by one `commit`, which only the task's owner may run: the caller takes
// ownership from a stalled worker and does the task itself.
//
//     free -> claimed -> committing -> done          a worker
//     free | claimed -> own -> done                  the caller
#pragma once

#include <cstddef>
#include <memory>

namespace youtu {

// Work whose tasks may be computed more than once, even by a worker after the call has ended: it must not refer to memory
// that lives only as long as the call.
class RepeatableWork {
 public:
  virtual ~RepeatableWork() = default;
  virtual size_t tasks() const = 0;
  // Computes a task into memory of the executing thread, which is valid until that thread's next call.
  virtual const float* compute(size_t task) const = 0;
  virtual void commit(size_t task, const float* computed) const = 0;
};

// Sets the number of threads, including the caller, and how long a worker spins before it sleeps; from the next call on.
void set_threads(int threads, int spin_us);
int threads_in_use();

// body(state, i) for i in [0, count), each exactly once. False if one of them threw.
bool run_tasks(size_t count, void (*body)(const void*, size_t), const void* state);
bool run_repeatable(const std::shared_ptr<const RepeatableWork>& work);

// Waits until no worker is computing; call it before freeing memory that late workers may read.
void wait_for_late_workers();

}  // namespace youtu
