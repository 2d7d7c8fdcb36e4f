// What kernels are written in: CUDA where nvcc compiles them, and the same words on the host (emulator.h) where a C++
// compiler does, so that tests run the very source of a kernel thread by thread without a GPU.
//
// Everything that rounds is written out. `fused` rounds once; `*`, `+`, `/` and sqrtf() round each, because the library is
// compiled with -fmad=false and without fast math (the emulator with -ffp-contract=off): results have the bits of the
// operators for processors (../simd.h, ../linear_kernel.h, ../row_kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define YOUTU_HD __host__ __device__ __forceinline__
#define YOUTU_DEVICE __device__ __forceinline__
#define YOUTU_PRAGMA(text) _Pragma(#text)
#define YOUTU_UNROLL YOUTU_PRAGMA(unroll)
#define YOUTU_UNROLL_BY(turns) YOUTU_PRAGMA(unroll turns)
#else
#include "emulator.h"
#define YOUTU_HD inline
#define YOUTU_DEVICE inline
#define YOUTU_UNROLL
#define YOUTU_UNROLL_BY(turns)
#endif

#if defined(__FAST_MATH__) || defined(__USE_FAST_MATH__)
#error "fast math changes the bits of the results"
#endif

namespace youtu::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// Sixteen bytes of one load.
struct alignas(16) Words4 {
  uint32_t word[4];
};
struct alignas(8) Words2 {
  uint32_t word[2];
};

template <int N>
struct alignas(4 * N) Floats {
  float value[N];
};

#if defined(__CUDACC__)

YOUTU_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
YOUTU_DEVICE float widen(uint16_t half) { return __half2float(__ushort_as_half(half)); }
YOUTU_DEVICE uint16_t narrow(float x) { return __half_as_ushort(__float2half_rn(x)); }
YOUTU_DEVICE int32_t bits_of(float x) { return __float_as_int(x); }
YOUTU_DEVICE float float_of(int32_t bits) { return __int_as_float(bits); }
YOUTU_DEVICE int dot4(int sum, uint32_t a, uint32_t b) { return __dp4a(int(a), int(b), sum); }

// Shared memory, by one load.
template <class T>
YOUTU_DEVICE T shared_at(const void* p) {
  return *static_cast<const T*>(p);
}

// Memory that no thread of the kernel writes.
YOUTU_DEVICE Words4 load16(const void* p) {
  const uint4 v = __ldg(static_cast<const uint4*>(p));
  return {{v.x, v.y, v.z, v.w}};
}
YOUTU_DEVICE Words2 load8(const void* p) {
  const uint2 v = __ldg(static_cast<const uint2*>(p));
  return {{v.x, v.y}};
}
YOUTU_DEVICE uint32_t load4(const void* p) { return __ldg(static_cast<const unsigned int*>(p)); }
template <class T>
YOUTU_DEVICE T load1(const T* p) {
  return __ldg(p);
}

// Starts to bring 128 bytes into the second-level cache.
YOUTU_DEVICE void prefetch(const void* p) { asm volatile("prefetch.global.L2 [%0];" : : "l"(p)); }

template <class T>
YOUTU_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}

// The memory that the threads of a block share, of the size given at the launch.
YOUTU_DEVICE char* shared_memory() {
  extern __shared__ __align__(16) char memory[];
  return memory;
}

// sums [16, 8] += a [16, 32] . b [32, 8] of signed bytes, by the lanes of a warp. Lane 4 g + t holds
//
//   a[0]  row g,     values 4t .. 4t + 3       a[2]  row g,     values 16 + 4t ..       b[0]  values 4t ..,      column g
//   a[1]  row g + 8, values 4t .. 4t + 3       a[3]  row g + 8, values 16 + 4t ..       b[1]  values 16 + 4t .., column g
//   sums[0], [1]  row g, columns 2t and 2t + 1           sums[2], [3]  row g + 8
YOUTU_DEVICE void multiply_fragments(int32_t (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// sums [16, 8] += a [16, 16] . b [16, 8] of float16, as above with pairs: a[0], a[1] and b[0] are values 2t and 2t + 1,
// a[2], a[3] and b[1] those 8 later. The products are exact, their sum is a float.
YOUTU_DEVICE void multiply_halves(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

inline int last_error() { return int(cudaGetLastError()); }

// Lets a kernel have more shared memory than the 48 KiB that every launch may ask for.
template <class Kernel>
int allow_shared(Kernel kernel, size_t bytes) {
  return int(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes)));
}

#define YOUTU_LAUNCH(kernel, grid, threads, shared, stream, ...) \
  kernel<<<grid, threads, shared, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)

#endif

constexpr int kLineBytes = 128;

// Every sixteenth value is summed by itself; this adds the sixteen lanes up, of threads 16 i .. 16 i + 15:
//
//   y[j] = v[j] + v[j + 8]        ((y0 + y1) + (y2 + y3)) + ((y4 + y5) + (y6 + y7))
YOUTU_DEVICE float total_of_lanes(float lane) {
  lane = lane + shuffle_xor(lane, 8);
  lane = lane + shuffle_xor(lane, 1);
  lane = lane + shuffle_xor(lane, 2);
  return lane + shuffle_xor(lane, 4);
}

// An integer of less than 2^22 plus these bits is the float 1.5 * 2^23 plus that integer.
constexpr int32_t kExactBits = 0x4b400000;
constexpr float kExact = 12582912.0f;
YOUTU_DEVICE float exact_float(int32_t sum) { return float_of(sum + kExactBits) - kExact; }

// exp(x) with the bits of ../simd.h: exactly 0 below -87.3, bounded above.
YOUTU_DEVICE float exponential(float x) {
  float clamped = x > -87.3f ? x : -87.3f;
  clamped = clamped < 88.3f ? clamped : 88.3f;
  const float n = (clamped * 1.44269504f + kExact) - kExact;
  float r = fused(n, -0.693359375f, clamped);
  r = fused(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = fused(p, r, 1.3981999507e-3f);
  p = fused(p, r, 8.3334519073e-3f);
  p = fused(p, r, 4.1665795894e-2f);
  p = fused(p, r, 1.6666665459e-1f);
  p = fused(p, r, 5.0000001201e-1f);
  p = fused(p, r * r, r + 1.0f);
  const float power = float_of((int32_t(n) + 127) << 23);
  return x < -87.3f ? 0.0f : p * power;
}

YOUTU_HD size_t divide_up(size_t n, size_t by) { return (n + by - 1) / by; }
YOUTU_HD size_t round_up(size_t n, size_t step) { return divide_up(n, step) * step; }

}  // namespace youtu::cuda
