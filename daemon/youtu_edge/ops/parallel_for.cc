// Context::parallel_for for the CPU operators, on the worker threads.
#include "runtime.h"
#include "worker_pool.h"

namespace youtu {

void Context::parallel_for(size_t count, void (*body)(const void*, size_t), const void* state) const {
  if (!run_tasks(count, body, state)) throw std::runtime_error(kOutOfScratch);
}

}  // namespace youtu
