// What operators keep on the device from call to call: scratch, and the integers of a step. One set for each stream, so
// whoever works on one has all of it to himself, in the order of the stream.
#pragma once

#include <cstddef>

#include "device_memory.h"

namespace youtu::cuda {

// The small inputs that say what a step consists of: they lie in the host's memory, where they are checked.
enum StepInput { kIds, kCumulative, kPast, kBlockTable, kSlots, kStepInputs };

class StreamState {
 public:
  // That of a stream; made when it is first asked for.
  static StreamState& of(void* stream);
  // Frees that of all streams, while no operator runs.
  static void free_all();

  // At least so many bytes, on 256; what they held before is lost.
  char* scratch(size_t bytes);

  // A copy of `bytes` bytes of the host on the device. All layers of a step have the same integers: a copy is made when
  // they differ from the last ones. Only enqueued; `host` may change at once.
  const void* copied(StepInput input, const void* host, size_t bytes);

 private:
  // `host` is pinned, so nobody waits until the device has read it.
  struct Copy {
    PinnedMemory host;
    size_t bytes = 0;  // that are on the device
    Mark was_read;
    DeviceBlock device;
  };
  explicit StreamState(void* stream) : stream_(stream) {}
  void* stream_;
  DeviceBlock scratch_;
  Copy copies_[kStepInputs];
};

}  // namespace youtu::cuda
