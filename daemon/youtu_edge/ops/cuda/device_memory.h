// Memory of the device, counted.
#pragma once

#include <cstddef>
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

}  // namespace youtu::cuda
