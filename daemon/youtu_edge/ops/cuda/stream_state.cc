#include "stream_state.h"

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

namespace youtu::cuda {
namespace {

constexpr size_t kStep = 64 << 10;  // of growth: a sequence gets longer token by token

struct States {
  std::mutex mutex;
  std::map<void*, std::unique_ptr<StreamState>> of_stream;
};
States& states() {
  static States* all = new States;  // the driver may be gone before static objects are
  return *all;
}

size_t rounded(size_t bytes) { return (bytes + kStep - 1) / kStep * kStep; }

}  // namespace

StreamState& StreamState::of(void* stream) {
  std::lock_guard<std::mutex> lock(states().mutex);
  auto& state = states().of_stream[stream];
  if (state == nullptr) state.reset(new StreamState(stream));
  return *state;
}

void StreamState::free_all() {
  std::lock_guard<std::mutex> lock(states().mutex);
  states().of_stream.clear();
}

char* StreamState::scratch(size_t bytes) {
  if (scratch_.bytes() < bytes) {
    scratch_ = DeviceBlock();  // waits for who uses it
    scratch_ = DeviceBlock(rounded(bytes), "scratch space");
  }
  return scratch_.data();
}

const void* StreamState::copied(StepInput input, const void* host, size_t bytes) {
  Copy& copy = copies_[input];
  if (bytes == 0) return nullptr;
  if (copy.bytes == bytes && std::memcmp(copy.host.get(), host, bytes) == 0) return copy.device.data();
  copy.bytes = 0;  // whatever fails from here on, they are not on the device
  copy.was_read.wait();  // a step ago
  if (copy.device.bytes() < bytes) {
    copy.device = DeviceBlock();
    copy.host = nullptr;
    copy.host = pinned_memory(rounded(bytes), "the integers of a step");
    copy.device = DeviceBlock(rounded(bytes), "the integers of a step");
  }
  std::memcpy(copy.host.get(), host, bytes);
  check(device_copy(copy.device.data(), copy.host.get(), bytes, kToDevice, stream_),
        "copying the integers of a step to the GPU");
  copy.was_read.record(stream_);
  copy.bytes = bytes;
  return copy.device.data();
}

}  // namespace youtu::cuda

extern "C" __attribute__((visibility("default"))) int32_t youtu_cuda_free_scratch(void) {
  const int code = youtu::cuda::device_synchronise();
  youtu::cuda::StreamState::free_all();
  return code;
}
