#include "worker_pool.h"

#include "scratch.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace youtu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::microseconds(40);  // several tasks long: then a worker is taken to stand still
constexpr size_t kStackBytes = 512 * 1024;
constexpr int kMostThreads = 64, kDefaultSpinUs = 50;

enum State : uint8_t { kFree, kClaimed, kCommitting, kOwn, kDone };

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Neighbouring tasks that one thread begins with, so that it reads memory in order; whoever is through helps the others.
struct alignas(64) Share {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

// One call. It outlives the call until no worker is `inside`, and is then used for another one.
struct Job {
  std::atomic<int> inside{0};
  Share shares[kMostThreads];
  size_t threads = 1;
  std::atomic<bool> failed{false};
  size_t count = 0, capacity = 0;
  std::unique_ptr<std::atomic<uint8_t>[]> states;
  void (*body)(const void*, size_t) = nullptr;
  const void* state = nullptr;
  std::shared_ptr<const RepeatableWork> work;

  void prepare(size_t tasks, size_t most_threads) {
    if (capacity < tasks) {
      states.reset(new std::atomic<uint8_t>[tasks]);
      capacity = tasks;
    }
    for (size_t i = 0; i < tasks; ++i) states[i].store(kFree, std::memory_order_relaxed);
    count = tasks;
    threads = most_threads;
    for (size_t i = 0; i < threads; ++i) {
      shares[i].next = count * i / threads;
      shares[i].end = count * (i + 1) / threads;
    }
    failed = false;
  }

  // Calls claim(task) for tasks that nobody has taken yet, those of this thread's share first.
  template <class Claim>
  void for_tasks(size_t thread, const Claim& claim) {
    for (size_t i = 0; i < threads; ++i) {
      Share& share = shares[(thread + i) % threads];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const size_t task = share.next.fetch_add(1);
        if (task < share.end) claim(task);
      }
    }
  }

  bool take(size_t task, State from, State to) {
    uint8_t expected = from;
    return states[task].compare_exchange_strong(expected, to);
  }

  // Threads share no counter of what is done: every task would wait for its cache line.
  void finish(size_t task) { states[task].store(kDone, std::memory_order_release); }
  bool is_done(size_t task) const { return states[task].load(std::memory_order_acquire) == kDone; }

  // For a task that is this thread's own. An exception must not leave the thread.
  void do_own(size_t task) {
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

  void help(size_t thread) {
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
      if (!take(task, kClaimed, kCommitting)) return;  // too late: the caller has done it
      if (computed != nullptr) work->commit(task, computed);
      finish(task);
    });
  }

  void lead() {
    for_tasks(0, [this](size_t task) {
      if (take(task, kFree, kOwn)) do_own(task);
    });
    size_t first = 0;  // that is not known to be done
    for (auto since = Clock::now();;) {
      const size_t seen = first;
      while (first < count && is_done(first)) ++first;
      if (first == count) return;
      for (int i = 0; i < 32 && !is_done(first); ++i) pause();
      const auto now = Clock::now();
      if (first != seen) {
        since = now;
      } else if (now - since > kPatience) {
        for (size_t task = first; task < count; ++task)
          if (take(task, kFree, kOwn) || (work && take(task, kClaimed, kOwn))) do_own(task);
        since = Clock::now();
      }
    }
  }
};

class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = new Pool;  // workers may outlive every static object
    return *pool;
  }

  void set_threads(int threads, int spin_us) {
    threads_.store(std::clamp(threads, 1, kMostThreads));
    spin_us_.store(std::max(0, spin_us));
  }
  int threads() const { return threads_.load(std::memory_order_relaxed); }

  // False if another thread is using the workers: the caller then does everything itself.
  template <class Fill>
  bool run(size_t count, const Fill& fill, bool* succeeded) {
    std::unique_lock<std::mutex> lock(calling_, std::try_to_lock);
    if (!lock) return false;
    start_workers();
    Job& job = free_job();
    job.prepare(count, std::min(size_t(threads()), count));
    fill(job);
    current_.store(&job);
    generation_.fetch_add(1);
    if (sleeping_.load() > 0) {
      std::lock_guard<std::mutex> sleep(sleep_);
      wake_.notify_all();
    }
    job.lead();
    current_.store(nullptr);
    *succeeded = !job.failed;
    return true;
  }

  // Calls that are over keep their work until the next one.
  void forget_work() {
    std::lock_guard<std::mutex> lock(calling_);
    for (const auto& job : jobs_)
      if (job->inside.load() == 0) job->work.reset();
  }

  void wait_for_late_workers() {
    for (const auto& job : jobs_)
      while (job->inside.load() > 0) std::this_thread::yield();
  }

 private:
  Pool() : threads_(std::max(1, int(std::thread::hardware_concurrency()))), spin_us_(kDefaultSpinUs) {
    // One for the call and one for each worker that stands still in an earlier one.
    for (int i = 0; i <= kMostThreads; ++i) jobs_.push_back(std::make_unique<Job>());
  }

  void start_workers() {
    for (; workers_ < threads() - 1; ++workers_) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, kStackBytes);
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      sigset_t all, before;  // signals are for the threads of the process that has us
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      pthread_t thread;
      auto* self = new std::pair<Pool*, int>(this, workers_);
      const int failed = pthread_create(&thread, &attributes, &enter, self);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      pthread_attr_destroy(&attributes);
      if (failed) {
        delete self;
        return;  // fewer helpers; tried again with the next call
      }
    }
  }

  static void* enter(void* argument) {
    auto* self = static_cast<std::pair<Pool*, int>*>(argument);
    const auto [pool, index] = *self;
    delete self;
    pthread_setname_np(pthread_self(), "youtu-ops");
    pool->work(index);
    return nullptr;
  }

  Job& free_job() {
    for (;;)
      for (const auto& job : jobs_)
        if (job->inside.load() == 0) {
          job->work.reset();
          return *job;
        }
  }

  void work(int index) {
    for (unsigned seen = 0;; seen = wait_beyond(seen)) {
      if (index >= threads() - 1) continue;
      Job* job = current_.load();
      if (job == nullptr) continue;
      job->inside.fetch_add(1);
      // Only now is it certain that the job is still this one: the caller reuses no job that somebody is inside of.
      if (current_.load() == job && size_t(index) + 1 < job->threads) job->help(index + 1);
      job->inside.fetch_sub(1);
    }
  }

  // The generation that is not `seen` any more.
  unsigned wait_beyond(unsigned seen) {
    const auto end = Clock::now() + std::chrono::microseconds(spin_us_.load(std::memory_order_relaxed));
    do {
      for (int i = 0; i < 64; ++i) {
        const unsigned now = generation_.load();
        if (now != seen) return now;
        pause();
      }
    } while (Clock::now() < end);
    std::unique_lock<std::mutex> lock(sleep_);
    sleeping_.fetch_add(1);
    while (generation_.load() == seen) wake_.wait(lock);
    sleeping_.fetch_sub(1);
    return generation_.load();
  }

  std::vector<std::unique_ptr<Job>> jobs_;
  std::atomic<Job*> current_{nullptr};
  std::atomic<unsigned> generation_{0};
  std::atomic<int> threads_, spin_us_, sleeping_{0};
  std::mutex calling_, sleep_;
  std::condition_variable wake_;
  int workers_ = 0;  // started; guarded by calling_
};

}  // namespace

void set_threads(int threads, int spin_us) { Pool::instance().set_threads(threads, spin_us); }

int threads_in_use() { return Pool::instance().threads(); }

bool run_tasks(size_t count, void (*body)(const void*, size_t), const void* state) {
  bool succeeded = true;
  const auto fill = [&](Job& job) {
    job.body = body;
    job.state = state;
  };
  if (count > 1 && threads_in_use() > 1 && Pool::instance().run(count, fill, &succeeded)) return succeeded;
  try {
    for (size_t task = 0; task < count; ++task) body(state, task);
  } catch (...) {
    return false;
  }
  return true;
}

bool run_repeatable(const std::shared_ptr<const RepeatableWork>& work) {
  bool succeeded = true;
  const auto fill = [&](Job& job) { job.work = work; };
  const size_t count = work->tasks();
  if (count > 1 && threads_in_use() > 1 && Pool::instance().run(count, fill, &succeeded)) return succeeded;
  try {
    for (size_t task = 0; task < count; ++task) work->commit(task, work->compute(task));
  } catch (...) {
    return false;
  }
  return true;
}

void wait_for_late_workers() { Pool::instance().wait_for_late_workers(); }

}  // namespace youtu

// The engine's setting; without it, as many threads as the process may use.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_set_threads(int threads, int spin_us) {
  youtu::set_threads(threads, spin_us);
}

// After a long prompt: what the operators keep from call to call would be as large for answers of one token a step.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_free_scratch() {
  youtu::Pool::instance().forget_work();
  youtu::ScratchPool::free_all();
}

// Before a session goes: ONNX Runtime frees the weights first and the kernels afterwards.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_wait_for_late_workers() {
  youtu::wait_for_late_workers();
}
