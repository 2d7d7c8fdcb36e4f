#include "worker_pool.h"

#include "scratch.h"
#include "worker_job.h"

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

constexpr size_t kStackBytes = 512 * 1024;
constexpr int kDefaultSpinUs = 50;

class Pool {
 public:
  static Pool& instance() {
    static Pool* pool = new Pool;  // never destroyed: workers may outlive static objects
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

  // Finished calls keep their work until the next one.
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
    // One for this call and one for each worker stalled in an earlier one.
    for (int i = 0; i <= kMostThreads; ++i) jobs_.push_back(std::make_unique<Job>());
  }

  void start_workers() {
    for (; workers_ < threads() - 1; ++workers_) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, kStackBytes);
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      sigset_t all, before;  // signals are handled by the host process's threads
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      pthread_t thread;
      auto* self = new std::pair<Pool*, int>(this, workers_);
      const int failed = pthread_create(&thread, &attributes, &enter, self);
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      pthread_attr_destroy(&attributes);
      if (failed) {
        delete self;
        return;  // fewer workers; retried at the next call
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
      // Only now is the job safe from reuse: the caller does not reuse a job with a worker inside.
      if (current_.load() == job && size_t(index) + 1 < job->threads) job->help(index + 1);
      job->inside.fetch_sub(1);
    }
  }

  // Waits for a generation other than `seen`.
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

// Set by the engine; the default is as many threads as the process may use.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_set_threads(int threads, int spin_us) {
  youtu::set_threads(threads, spin_us);
}

// For use after a long prompt: the scratch that operators keep would stay that large while decoding one token per step.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_free_scratch() {
  youtu::Pool::instance().forget_work();
  youtu::ScratchPool::free_all();
}

// For use before a session is destroyed: ONNX Runtime frees the weights first, then the kernels.
extern "C" __attribute__((visibility("default"))) void youtu_edge_ops_wait_for_late_workers() {
  youtu::wait_for_late_workers();
}
