// One call, whose tasks the calling thread and the workers of worker_pool.h execute.
#pragma once

#include "worker_pool.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace youtu {

constexpr int kMostThreads = 64;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// It outlives the call until no worker is `inside`; then it is reused.
struct Job {
  std::atomic<int> inside{0};
  alignas(64) size_t threads = 1;  // this and what tasks read: not in the cache line that workers write
  std::atomic<bool> failed{false};
  // Either repeatable work, or a body that runs exactly once per task.
  std::shared_ptr<const RepeatableWork> work;
  void (*body)(const void*, size_t) = nullptr;
  const void* state = nullptr;

  void prepare(size_t tasks, size_t most_threads);
  // Run by worker `thread`: returns when all tasks are claimed.
  void help(size_t thread);
  // Run by the caller: returns when all tasks are done, even if workers are stalled.
  void lead();

 private:
  enum State : uint8_t { kFree, kClaimed, kCommitting, kOwn, kDone };

  // Adjacent tasks that a thread starts with, so that it reads memory in order; afterwards it takes tasks of others.
  struct alignas(64) Share {
    std::atomic<size_t> next{0};
    size_t end = 0;
  };

  template <class Claim>
  void for_tasks(size_t thread, const Claim& claim);
  bool take(size_t task, State from, State to);
  void do_own(size_t task);
  void finish(size_t task);
  bool is_done(size_t task) const;

  Share shares_[kMostThreads];
  size_t count_ = 0, capacity_ = 0;
  std::unique_ptr<std::atomic<uint8_t>[]> states_;
};

}  // namespace youtu
