#include "worker_job.h"

#include <chrono>

namespace youtu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::microseconds(40);  // several tasks long; then a worker counts as stalled

}  // namespace

void Job::prepare(size_t tasks, size_t most_threads) {
  if (capacity_ < tasks) {
    states_.reset(new std::atomic<uint8_t>[tasks]);
    capacity_ = tasks;
  }
  for (size_t i = 0; i < tasks; ++i) states_[i].store(kFree, std::memory_order_relaxed);
  count_ = tasks;
  threads = most_threads;
  for (size_t i = 0; i < threads; ++i) {
    shares_[i].next = count_ * i / threads;
    shares_[i].end = count_ * (i + 1) / threads;
  }
  failed = false;
}

// Calls claim(task) for unclaimed tasks, those of this thread's share first.
template <class Claim>
void Job::for_tasks(size_t thread, const Claim& claim) {
  for (size_t i = 0; i < threads; ++i) {
    Share& share = shares_[(thread + i) % threads];
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const size_t task = share.next.fetch_add(1);
      if (task < share.end) claim(task);
    }
  }
}

bool Job::take(size_t task, State from, State to) {
  uint8_t expected = from;
  return states_[task].compare_exchange_strong(expected, to);
}

// Threads do not share a counter of finished tasks: every task would contend for its cache line.
void Job::finish(size_t task) { states_[task].store(kDone, std::memory_order_release); }
bool Job::is_done(size_t task) const { return states_[task].load(std::memory_order_acquire) == kDone; }

// Runs a task that this thread owns. An exception must not leave the thread.
void Job::do_own(size_t task) {
  try {
    if (work)
      work->commit(task, work->compute(task));
    else
      body(state, task);
  } catch (...) {
    failed = true;
  }
  finish(task);
}

void Job::help(size_t thread) {
  for_tasks(thread, [this](size_t task) {
    if (!work) {
      if (take(task, kFree, kOwn)) do_own(task);
      return;
    }
    if (!take(task, kFree, kClaimed)) return;
    const float* computed = nullptr;
    try {
      computed = work->compute(task);
    } catch (...) {
      failed = true;
    }
    if (!take(task, kClaimed, kCommitting)) return;  // too late: the caller has taken it over
    if (computed != nullptr) work->commit(task, computed);
    finish(task);
  });
}

void Job::lead() {
  for_tasks(0, [this](size_t task) {
    if (take(task, kFree, kOwn)) do_own(task);
  });
  size_t first = 0;  // first task not known to be done
  for (auto since = Clock::now();;) {
    const size_t seen = first;
    while (first < count_ && is_done(first)) ++first;
    if (first == count_) return;
    for (int i = 0; i < 32 && !is_done(first); ++i) pause();
    const auto now = Clock::now();
    if (first != seen) {
      since = now;
    } else if (now - since > kPatience) {
      for (size_t task = first; task < count_; ++task)
        if (take(task, kFree, kOwn) || (work && take(task, kClaimed, kOwn))) do_own(task);
      since = Clock::now();
    }
  }
}

}  // namespace youtu
