// device_calls.h in memory of the host: a GPU of a size that tests choose, which counts what it is asked for and fails
// when tests say so.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "device_calls.h"

namespace youtu::cuda {
namespace {

constexpr int kInvalidValue = 1, kChanged = 999;
constexpr size_t kPage = 4096;

// A copy that has been enqueued: what it reads, and what that was then.
struct Reading {
  const char* source;
  std::vector<char> bytes;
};

struct State {
  std::mutex mutex;
  std::map<char*, size_t> blocks, pinned;
  std::vector<Reading> readings;  // of pinned memory, which go on until a mark behind them has been waited for
  size_t total = size_t(4) << 30, others = 0, held = 0, most_held = 0;
  long long copied[3] = {};  // bytes, by direction
  int open_error = 0, fault = 0, integrated = 0;
};

State& state() {
  static State* state = new State;  // memory may be freed while the process ends
  return *state;
}

// Whether [p, p + bytes) is a part of one block.
bool is_in(const std::map<char*, size_t>& blocks, const void* p, size_t bytes) {
  auto next = blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (next == blocks.begin()) return false;
  const auto& [begin, size] = *--next;
  return static_cast<const char*>(p) + bytes <= begin + size;
}
bool is_ours(const void* p, size_t bytes) { return is_in(state().blocks, p, bytes); }

// Ends all readings: kChanged if what one reads is no longer what it was, which a GPU would have copied.
int end_readings() {
  int code = 0;
  for (const Reading& reading : state().readings)
    if (std::memcmp(reading.source, reading.bytes.data(), reading.bytes.size()) != 0) code = kChanged;
  state().readings.clear();
  return code;
}

}  // namespace

int open_device(int, YoutuDevice* device) {
  std::memset(device, 0, sizeof *device);
  device->driver = state().open_error == 35 ? 11040 : state().open_error == 100 ? 0 : 13000;
  device->runtime = 13000;
  if (state().open_error && state().open_error != 209) return state().open_error;
  std::strcpy(device->name, "emulated GPU");
  device->total = int64_t(state().total);
  device->integrated = state().integrated;
  device->major = 8;
  device->minor = 7;
  return state().open_error;
}

int device_memory(size_t* free_bytes) {
  const size_t taken = state().held + state().others;
  *free_bytes = state().total > taken ? state().total - taken : 0;
  return state().fault;
}

int device_allocate(void** address, size_t bytes) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (state().fault) return state().fault;
  if (bytes == 0) return kInvalidValue;
  if (state().held + state().others + bytes > state().total) return kOutOfMemory;
  char* const block = static_cast<char*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage));
  if (block == nullptr) return kOutOfMemory;
  std::memset(block, 0xCD, bytes);
  state().blocks[block] = bytes;
  state().held += bytes;
  if (state().held > state().most_held) state().most_held = state().held;
  *address = block;
  return 0;
}

int device_free(void* address) {
  std::lock_guard<std::mutex> lock(state().mutex);
  const auto found = state().blocks.find(static_cast<char*>(address));
  if (found == state().blocks.end()) return kInvalidValue;
  state().held -= found->second;
  state().blocks.erase(found);
  std::free(address);
  return state().fault;
}

int device_zero(void* address, size_t bytes) {
  if (!is_ours(address, bytes)) return kInvalidValue;
  std::memset(address, 0, bytes);
  return state().fault;
}

int host_allocate(void** address, size_t bytes) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (state().fault) return state().fault;
  char* const block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) return kOutOfMemory;
  std::memset(block, 0xCD, bytes);
  state().pinned[block] = bytes;
  *address = block;
  return 0;
}

int host_free(void* address) {
  std::lock_guard<std::mutex> lock(state().mutex);
  const int code = end_readings();
  if (state().pinned.erase(static_cast<char*>(address)) == 0) return kInvalidValue;
  std::free(address);
  return state().fault ? state().fault : code;
}

int device_copy(void* target, const void* source, size_t bytes, Direction direction, void*) {
  std::lock_guard<std::mutex> lock(state().mutex);
  if (state().fault) return state().fault;
  if (direction != kToHost && !is_ours(target, bytes)) return kInvalidValue;
  if (direction != kToDevice && !is_ours(source, bytes)) return kInvalidValue;
  std::memcpy(target, source, bytes);
  if (direction == kToDevice && is_in(state().pinned, source, bytes)) {
    const char* const begin = static_cast<const char*>(source);
    state().readings.push_back({begin, {begin, begin + bytes}});
  }
  state().copied[direction] += (long long)(bytes);
  return 0;
}

int device_synchronise() {
  std::lock_guard<std::mutex> lock(state().mutex);
  const int code = end_readings();
  return state().fault ? state().fault : code;
}

// Waiting for one waits for everything.
int mark_create(void** mark) {
  *mark = &state();
  return state().fault;
}
int mark_destroy(void*) { return state().fault; }
int mark_record(void*, void*) { return state().fault; }
int mark_wait(void*) { return device_synchronise(); }

const char* device_error_text(int code) {
  switch (code) {
    case kOutOfMemory: return "out of memory";
    case 35: return "CUDA driver version is insufficient for CUDA runtime version";
    case 100: return "no CUDA-capable device is detected";
    case 209: return "no kernel image is available for execution on the device";
    case 700: return "an illegal memory access was encountered";
    default: return "an error of the emulated GPU";
  }
}

int emulated_fault() { return state().fault; }

}  // namespace youtu::cuda

using namespace youtu::cuda;

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

// Bytes of the device, whether they are the processor's too, and what opening it fails with.
YOUTU_EXPORT void youtu_emulator_set_device(long long total, int integrated, int open_error) {
  state().total = size_t(total);
  state().integrated = integrated;
  state().open_error = open_error;
}
// Bytes of it that other processes hold.
YOUTU_EXPORT void youtu_emulator_set_others(long long bytes) { state().others = size_t(bytes); }
// From now on every call fails with this error, as after an illegal access; 0: none does.
YOUTU_EXPORT void youtu_emulator_set_fault(int code) { state().fault = code; }
// Blocks of the device and of pinned memory that nobody has freed, the most bytes that were held since the last call, bytes that were copied by direction.
YOUTU_EXPORT int youtu_emulator_blocks() { return int(state().blocks.size()); }
YOUTU_EXPORT int youtu_emulator_pinned() { return int(state().pinned.size()); }
YOUTU_EXPORT long long youtu_emulator_most_held() {
  const long long most = (long long)(state().most_held);
  state().most_held = state().held;
  return most;
}
YOUTU_EXPORT long long youtu_emulator_copied(int direction) { return state().copied[direction]; }
