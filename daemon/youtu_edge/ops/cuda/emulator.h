// The words of device.h on the host: one block after another, each of its threads a coroutine that runs until it waits.
//
// A barrier lets nobody pass before all threads of the block (or all lanes of the warp) have come, as on a GPU. In between,
// one warp after another runs as far as it can, in an order that is the caller's choice: ascending, descending or shuffled.
// A result that depends on it lacks a barrier. Shared memory begins as NaN. A barrier that some threads do not reach fails the launch.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __launch_bounds__(...)

namespace youtu::cuda {

struct dim3 {
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};

// Of the thread that runs now.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
char* shared_memory();

// What every lane of the warp gave: [32]. All lanes have to take part.
const uint64_t* exchange(uint64_t value);

// Runs `kernel` for every thread of every block. A failed launch is told by the next last_error().
void emulate(dim3 grid, unsigned threads, size_t shared_bytes, const std::function<void()>& kernel);
int last_error();
// What tests let every call fail with: emulated_device.cc.
int emulated_fault();

struct alignas(16) Words4;
struct alignas(8) Words2;

inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline int32_t bits_of(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float float_of(int32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
float widen(uint16_t half);
uint16_t narrow(float x);
int dot4(int sum, uint32_t a, uint32_t b);
void check_alignment(const void* p, size_t bytes);  // fails the launch
template <class T>
T shared_at(const void* p) {
  check_alignment(p, alignof(T));
  return *static_cast<const T*>(p);
}
Words4 load16(const void* p);  // of aligned memory, as the next two
Words2 load8(const void* p);
uint32_t load4(const void* p);
template <class T>
T load1(const T* p) {
  return *p;
}
void prefetch(const void* p);  // reads a byte
template <class T>
T shuffle_xor(T value, int mask) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const uint64_t other = exchange(bits)[(threadIdx.x % 32) ^ unsigned(mask)];
  std::memcpy(&value, &other, sizeof value);
  return value;
}
void multiply_fragments(int32_t (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
void multiply_halves(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <class Kernel>
int allow_shared(Kernel, size_t) {
  return 0;
}

#define YOUTU_LAUNCH(kernel, grid, threads, shared, stream, ...) \
  (void)(stream), emulate(grid, threads, shared, [&] { kernel(__VA_ARGS__); })

}  // namespace youtu::cuda
