// Scratch memory that outlives a call, so that a decode step allocates nothing.
//
// Shared by all nodes of an operator: there are as many buffers as threads have ever used at once,
// not one per layer. A pool is a static object.
#pragma once

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace youtu {

class ScratchPool {
  struct Buffer {
    float* data = nullptr;
    size_t floats = 0;
    ~Buffer() { std::free(data); }
  };

 public:
  // A leased buffer; returned to the pool on destruction.
  class Lease {
   public:
    Lease(ScratchPool& pool, size_t floats) : pool_(pool), buffer_(pool.take()) {
      if (buffer_->floats < floats) {
        std::free(buffer_->data);
        buffer_->data = nullptr;
        buffer_->floats = 0;
        const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
        buffer_->data = static_cast<float*>(std::aligned_alloc(64, bytes));
        if (buffer_->data == nullptr) throw std::bad_alloc();
        buffer_->floats = floats;
      }
    }
    ~Lease() { pool_.give(std::move(buffer_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    float* data() const { return buffer_->data; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Buffer> buffer_;
  };

  ScratchPool() {
    std::lock_guard<std::mutex> lock(all_mutex());
    all().push_back(this);
  }

  // Frees all buffers that are not leased, in every pool.
  static void free_all() {
    std::lock_guard<std::mutex> lock(all_mutex());
    for (ScratchPool* pool : all()) {
      std::lock_guard<std::mutex> own(pool->mutex_);
      pool->free_.clear();
    }
  }

 private:
  static std::vector<ScratchPool*>& all() {
    static std::vector<ScratchPool*> pools;
    return pools;
  }
  static std::mutex& all_mutex() {
    static std::mutex mutex;
    return mutex;
  }

  std::unique_ptr<Buffer> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Buffer>();
    auto buffer = std::move(free_.back());
    free_.pop_back();
    return buffer;
  }
  void give(std::unique_ptr<Buffer> buffer) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(buffer));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffer>> free_;
};

}  // namespace youtu
