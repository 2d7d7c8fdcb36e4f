// Memory of the device, counted.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "device_calls.h"

namespace youtu::cuda {

// Throws what `code` says, with the name of the call; nothing for 0.
void check(int code, const char* call);

// A block of the device's memory; freed with the object, when everything that was enqueued has been done. Its contents
// do not matter unless it says so.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  // Throws std::runtime_error, "bad_alloc: …", when the device has none left.
  DeviceBlock(size_t bytes, const char* purpose);
  ~DeviceBlock();
  DeviceBlock(DeviceBlock&& other) noexcept;
  DeviceBlock& operator=(DeviceBlock&& other) noexcept;

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

// Pinned memory of the host; contents do not matter. It is freed when the device has done all that was enqueued.
struct FreePinned {
  void operator()(char* address) const { host_free(address); }
};
using PinnedMemory = std::unique_ptr<char, FreePinned>;

// Throws std::runtime_error, "bad_alloc: …", when there is none left.
PinnedMemory pinned_memory(size_t bytes, const char* purpose);

// A point of a stream. `wait` returns when the stream has come to where `record` was last called; at once without.
class Mark {
 public:
  Mark() = default;
  Mark(const Mark&) = delete;
  ~Mark();
  void record(void* stream);
  void wait() const;

 private:
  void* mark_ = nullptr;
};

}  // namespace youtu::cuda
