// What the library asks of CUDA besides kernels: device_calls.cu does it, and emulated_device.cc in memory of the host.
// Every function returns a cudaError_t.
#pragma once

#include <cstddef>

#include "interface.h"

namespace youtu::cuda {

constexpr int kOutOfMemory = 2;  // cudaErrorMemoryAllocation

enum Direction : int { kToDevice = 0, kToHost = 1, kWithinDevice = 2 };

int open_device(int ordinal, YoutuDevice* device);
int device_memory(size_t* free_bytes);
int device_allocate(void** address, size_t bytes);
int device_free(void* address);
int device_zero(void* address, size_t bytes);
// Memory of the host that the device reads and writes by itself: pinned.
int host_allocate(void** address, size_t bytes);
int host_free(void* address);
// Enqueued on `stream`. Pinned memory of the host must not change before the stream has come that far; other memory of
// the host has been read when it returns.
int device_copy(void* target, const void* source, size_t bytes, Direction direction, void* stream);
int device_synchronise();
// A mark on a stream, that can be waited for: an event without times.
int mark_create(void** mark);
int mark_destroy(void* mark);
int mark_record(void* mark, void* stream);
int mark_wait(void* mark);
const char* device_error_text(int code);

// Whether the library has code for the device in use; of launches.cu.
int has_kernels();

}  // namespace youtu::cuda
