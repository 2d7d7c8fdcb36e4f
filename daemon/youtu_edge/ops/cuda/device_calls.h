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
// Enqueued on `stream`; memory of the host has been read when it returns.
int device_copy(void* target, const void* source, size_t bytes, Direction direction, void* stream);
int device_synchronise();
const char* device_error_text(int code);

// Whether the library has code for the device in use; of launches.cu.
int has_kernels();

}  // namespace youtu::cuda
