// The functions of libcudart that scripts/gpu-check calls, on this processor's memory: with the emulator as the library of
// kernels it goes every way that it goes on a GPU. Calls that a GPU would refuse are refused.
#include <cstdlib>
#include <cstring>
#include <set>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {
constexpr int kInvalidValue = 1, kMillisecondsOfEveryGraph = 3;
bool capturing = false;
std::set<const void*> allocations, handles;

int make(void** handle) {
  *handle = std::malloc(1);
  handles.insert(*handle);
  return 0;
}
int end(void* handle) { return handles.erase(handle) == 1 ? 0 : kInvalidValue; }
int known(void* handle) { return handles.count(handle) == 1 ? 0 : kInvalidValue; }
}  // namespace

EXPORT const char* cudaGetErrorString(int) { return "a fake error"; }
EXPORT int cudaDeviceGetAttribute(int* value, int, int) { return *value = 9, 0; }
EXPORT int cudaRuntimeGetVersion(int* version) { return *version = 13000, 0; }
EXPORT int cudaDeviceSynchronize() { return capturing ? kInvalidValue : 0; }
EXPORT int cudaMalloc(void** p, size_t size) {
  if (capturing || size == 0) return kInvalidValue;
  *p = std::aligned_alloc(256, (size + 255) / 256 * 256);
  allocations.insert(*p);
  return 0;
}
EXPORT int cudaFree(void* p) {
  if (allocations.erase(p) != 1) return kInvalidValue;
  std::free(p);
  return 0;
}
EXPORT int cudaMemset(void* p, int value, size_t size) { return std::memset(p, value, size), 0; }
EXPORT int cudaMemcpy(void* target, const void* source, size_t size, int) { return std::memcpy(target, source, size), 0; }
EXPORT int cudaMemcpyAsync(void* target, const void* source, size_t size, int kind, void* stream) {
  if (kind != 3 || (capturing && known(stream))) return kInvalidValue;
  return std::memcpy(target, source, size), 0;
}
EXPORT int cudaStreamCreate(void** stream) { return make(stream); }
EXPORT int cudaEventCreate(void** event) { return make(event); }
EXPORT int cudaEventRecord(void* event, void* stream) { return known(event) | known(stream); }
EXPORT int cudaEventSynchronize(void* event) { return known(event); }
EXPORT int cudaEventElapsedTime(float* milliseconds, void* first, void* last) {
  *milliseconds = kMillisecondsOfEveryGraph;
  return known(first) | known(last);
}
EXPORT int cudaStreamBeginCapture(void* stream, int) {
  if (capturing) return kInvalidValue;
  capturing = true;
  return known(stream);
}
EXPORT int cudaStreamEndCapture(void* stream, void** graph) {
  if (!capturing) return kInvalidValue;
  capturing = false;
  return known(stream) | make(graph);
}
EXPORT int cudaGraphInstantiate(void** ready, void* graph, unsigned long long) { return known(graph) | make(ready); }
EXPORT int cudaGraphLaunch(void* ready, void* stream) { return known(ready) | known(stream); }
EXPORT int cudaGraphExecDestroy(void* ready) { return end(ready); }
EXPORT int cudaGraphDestroy(void* graph) { return end(graph); }
// How much memory nobody has freed.
EXPORT int fake_allocations() { return int(allocations.size()); }
EXPORT int fake_handles() { return int(handles.size()); }
