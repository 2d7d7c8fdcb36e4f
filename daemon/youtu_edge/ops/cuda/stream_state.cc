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
  if (copy.host.size() == bytes && std::memcmp(copy.host.data(), host, bytes) == 0) return copy.device.data();
  copy.host.clear();  // whatever fails from here on, they are not on the device
  if (copy.device.bytes() < bytes) {
    copy.device = DeviceBlock();
    copy.device = DeviceBlock(rounded(bytes), "the integers of a step");
  }
  check(device_copy(copy.device.data(), host, bytes, kToDevice, stream_), "copying the integers of a step to the GPU");
  const char* const begin = static_cast<const char*>(host);
  copy.host.assign(begin, begin + bytes);
  return copy.device.data();
}

}  // namespace youtu::cuda

extern "C" __attribute__((visibility("default"))) int32_t youtu_cuda_free_scratch(void) {
  const int code = youtu::cuda::device_synchronise();
  youtu::cuda::StreamState::free_all();
  return code;
}
