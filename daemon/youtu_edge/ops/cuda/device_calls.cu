#include "device_calls.h"

#include <cuda_runtime.h>

#include <cstring>

namespace youtu::cuda {
namespace {

int attribute(int* value, cudaDeviceAttr name, int ordinal) { return int(cudaDeviceGetAttribute(value, name, ordinal)); }

}  // namespace

int open_device(int ordinal, YoutuDevice* device) {
  std::memset(device, 0, sizeof *device);
  cudaDriverGetVersion(&device->driver);
  cudaRuntimeGetVersion(&device->runtime);
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count)) return int(error);
  if (ordinal < 0 || ordinal >= count) return int(cudaErrorInvalidDevice);
  if (const cudaError_t error = cudaSetDevice(ordinal)) return int(error);
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, ordinal)) return int(error);
  std::memcpy(device->name, properties.name, sizeof device->name - 1);  // of 256, ended by a zero
  device->total = int64_t(properties.totalGlobalMem);
  if (const int error = attribute(&device->integrated, cudaDevAttrIntegrated, ordinal)) return error;
  if (const int error = attribute(&device->major, cudaDevAttrComputeCapabilityMajor, ordinal)) return error;
  if (const int error = attribute(&device->minor, cudaDevAttrComputeCapabilityMinor, ordinal)) return error;
  return has_kernels();
}

int device_memory(size_t* free_bytes) {
  size_t total = 0;
  return int(cudaMemGetInfo(free_bytes, &total));
}

int device_allocate(void** address, size_t bytes) {
  const cudaError_t error = cudaMalloc(address, bytes);
  if (error) cudaGetLastError();  // or the next launch would be blamed for it
  return int(error);
}

int device_free(void* address) { return int(cudaFree(address)); }

int device_zero(void* address, size_t bytes) {
  if (const cudaError_t error = cudaMemset(address, 0, bytes)) return int(error);
  return device_synchronise();  // streams of ONNX Runtime do not wait for the default one
}

int host_allocate(void** address, size_t bytes) {
  const cudaError_t error = cudaMallocHost(address, bytes);
  if (error) cudaGetLastError();
  return int(error);
}

int host_free(void* address) { return int(cudaFreeHost(address)); }

int device_copy(void* target, const void* source, size_t bytes, Direction direction, void* stream) {
  constexpr cudaMemcpyKind kKinds[] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice};
  return int(cudaMemcpyAsync(target, source, bytes, kKinds[direction], static_cast<cudaStream_t>(stream)));
}

int mark_create(void** mark) {
  return int(cudaEventCreateWithFlags(reinterpret_cast<cudaEvent_t*>(mark), cudaEventDisableTiming));
}

int mark_destroy(void* mark) { return int(cudaEventDestroy(static_cast<cudaEvent_t>(mark))); }

int mark_record(void* mark, void* stream) {
  return int(cudaEventRecord(static_cast<cudaEvent_t>(mark), static_cast<cudaStream_t>(stream)));
}

int mark_wait(void* mark) { return int(cudaEventSynchronize(static_cast<cudaEvent_t>(mark))); }

int device_synchronise() { return int(cudaDeviceSynchronize()); }

const char* device_error_text(int code) { return cudaGetErrorString(cudaError_t(code)); }

}  // namespace youtu::cuda
