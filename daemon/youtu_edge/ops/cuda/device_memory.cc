#include "device_memory.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

namespace youtu::cuda {
namespace {

std::atomic<long long> held{0};

// What callers of the C interface have allocated.
struct Allocations {
  std::mutex mutex;
  std::map<void*, DeviceBlock> blocks;
  std::map<void*, PinnedMemory> pinned;
};
Allocations& allocations() {
  static Allocations* all = new Allocations;  // the driver may be gone before static objects are
  return *all;
}

}  // namespace

void check(int code, const char* call) {
  if (code != 0) throw std::runtime_error(std::string(call) + ": CUDA error " + std::to_string(code) + ", " + device_error_text(code));
}

DeviceBlock::DeviceBlock(size_t bytes, const char* purpose) : bytes_(bytes) {
  void* address = nullptr;
  const int code = device_allocate(&address, bytes);
  if (code == kOutOfMemory)
    throw std::runtime_error("bad_alloc: the GPU has no " + std::to_string(bytes) + " bytes left for " + purpose);
  check(code, "allocating memory of the GPU");
  data_ = static_cast<char*>(address);
  held += (long long)(bytes);
}

DeviceBlock::~DeviceBlock() {
  if (data_ == nullptr) return;
  device_free(data_);  // of a device that is lost there is nothing to free
  held -= (long long)(bytes_);
}

DeviceBlock::DeviceBlock(DeviceBlock&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBlock& DeviceBlock::operator=(DeviceBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

PinnedMemory pinned_memory(size_t bytes, const char* purpose) {
  void* address = nullptr;
  const int code = host_allocate(&address, bytes);
  if (code == kOutOfMemory)
    throw std::runtime_error("bad_alloc: no " + std::to_string(bytes) + " bytes can be pinned for " + purpose);
  check(code, "pinning memory");
  return PinnedMemory(static_cast<char*>(address));
}

Mark::~Mark() {
  if (mark_ != nullptr) mark_destroy(mark_);
}

void Mark::record(void* stream) {
  if (mark_ == nullptr) check(mark_create(&mark_), "creating an event");
  check(mark_record(mark_, stream), "recording an event");
}

void Mark::wait() const {
  if (mark_ != nullptr) check(mark_wait(mark_), "waiting for the GPU");
}

}  // namespace youtu::cuda

using namespace youtu::cuda;

namespace {

constexpr int kInvalidValue = 1;

// What an allocation ends with: an error that every call gives comes before the lack of memory.
template <typename Allocate>
int32_t allocated(Allocate allocate) {
  try {
    allocate();
    return 0;
  } catch (const std::exception&) {
    const int fault = device_synchronise();
    return fault != 0 ? fault : kOutOfMemory;
  }
}

}  // namespace

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

YOUTU_EXPORT int32_t youtu_cuda_open(int32_t ordinal, YoutuDevice* device) { return open_device(ordinal, device); }

YOUTU_EXPORT int32_t youtu_cuda_memory(int64_t* free_bytes, int64_t* held_bytes) {
  size_t bytes = 0;
  const int code = device_memory(&bytes);
  *free_bytes = int64_t(bytes);
  *held_bytes = held;
  return code;
}

YOUTU_EXPORT int32_t youtu_cuda_allocate(int64_t bytes, void** address) {
  if (bytes <= 0) return kInvalidValue;
  return allocated([&] {
    DeviceBlock block(size_t(bytes), "the caller");
    check(device_zero(block.data(), block.bytes()), "clearing memory of the GPU");
    *address = block.data();
    std::lock_guard<std::mutex> lock(allocations().mutex);
    allocations().blocks[*address] = std::move(block);
  });
}

YOUTU_EXPORT int32_t youtu_cuda_free(void* address) {
  std::lock_guard<std::mutex> lock(allocations().mutex);
  return allocations().blocks.erase(address) == 1 ? 0 : kInvalidValue;
}

YOUTU_EXPORT int32_t youtu_cuda_pin(int64_t bytes, void** address) {
  if (bytes <= 0) return kInvalidValue;
  return allocated([&] {
    PinnedMemory memory = pinned_memory(size_t(bytes), "the caller");
    *address = memory.get();
    std::lock_guard<std::mutex> lock(allocations().mutex);
    allocations().pinned[*address] = std::move(memory);
  });
}

YOUTU_EXPORT int32_t youtu_cuda_unpin(void* address) {
  std::lock_guard<std::mutex> lock(allocations().mutex);
  return allocations().pinned.erase(address) == 1 ? 0 : kInvalidValue;
}

YOUTU_EXPORT int32_t youtu_cuda_copy(void* target, const void* source, int64_t bytes, int32_t direction) {
  if (const int code = device_copy(target, source, size_t(bytes), Direction(direction), nullptr)) return code;
  return device_synchronise();
}

YOUTU_EXPORT int32_t youtu_cuda_synchronise(void) { return device_synchronise(); }

YOUTU_EXPORT const char* youtu_cuda_error_text(int32_t code) { return device_error_text(code); }
