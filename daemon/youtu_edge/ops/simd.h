// One vector of floats, `kWidth` wide, for each instruction set. Included only by kernel sources,
// inside the namespace that the build defines for the instruction set (YOUTU_ISA), so that the
// linker cannot merge functions of different instruction sets.
//
//                     width   registers
//   AVX-512            16        32
//   AVX2                8        16
//   NEON                4        32
//   portable            4        16   compiler vectors, float16 and fma by integer arithmetic
//
// All give bit-identical results: fma() rounds once everywhere, nothing is contracted (-ffp-contract=off), and sums across
// lanes always use sixteen lanes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define YOUTU_INLINE static inline __attribute__((always_inline))

// Unrolls a loop of at most 8 iterations, so that its arrays stay in registers. Not in the fallback, which has too few.
#if defined(__AVX2__) || defined(__ARM_NEON)
#define YOUTU_UNROLL _Pragma("GCC unroll 8")
#else
#define YOUTU_UNROLL
#endif

namespace youtu::YOUTU_ISA {

struct half {
  uint16_t bits;
};

#if defined(__AVX512F__)

using V = __m512;
constexpr int kWidth = 16, kRegisters = 32;
struct Sixteen {
  V v[16 / kWidth];
};
YOUTU_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
YOUTU_INLINE V load(const half* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
YOUTU_INLINE V load(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
YOUTU_INLINE V load(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
YOUTU_INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
YOUTU_INLINE void store(half* p, V v) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(v, 0)); }
YOUTU_INLINE V splat(float x) { return _mm512_set1_ps(x); }
YOUTU_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
YOUTU_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
YOUTU_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
YOUTU_INLINE float highest(V v) { return _mm512_reduce_max_ps(v); }
YOUTU_INLINE V nearest(V v) { return _mm512_roundscale_ps(v, 0); }
YOUTU_INLINE V power_of_two(V n) { return _mm512_scalef_ps(splat(1.0f), n); }
YOUTU_INLINE V zero_below(V x, float limit, V v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, splat(limit), _CMP_NLT_UQ), v);
}
YOUTU_INLINE __m256 fold_half(const Sixteen& a) {
  return _mm512_castps512_ps256(a.v[0]) + _mm512_extractf32x8_ps(a.v[0], 1);
}
using Int = __m512i;
YOUTU_INLINE Int splat_int(int32_t x) { return _mm512_set1_epi32(x); }
YOUTU_INLINE Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
YOUTU_INLINE V to_float(Int v) { return _mm512_cvtepi32_ps(v); }

#elif defined(__AVX2__)

using V = __m256;
constexpr int kWidth = 8, kRegisters = 16;
struct Sixteen {
  V v[16 / kWidth];
};
YOUTU_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
YOUTU_INLINE V load(const half* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
YOUTU_INLINE V load(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
YOUTU_INLINE V load(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
YOUTU_INLINE void store(float* p, V v) { _mm256_storeu_ps(p, v); }
YOUTU_INLINE void store(half* p, V v) { _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(v, 0)); }
YOUTU_INLINE V splat(float x) { return _mm256_set1_ps(x); }
YOUTU_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
YOUTU_INLINE V max(V a, V b) { return _mm256_max_ps(a, b); }
YOUTU_INLINE V min(V a, V b) { return _mm256_min_ps(a, b); }
YOUTU_INLINE V nearest(V v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
YOUTU_INLINE V power_of_two(V n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
YOUTU_INLINE V zero_below(V x, float limit, V v) {
  return _mm256_and_ps(_mm256_cmp_ps(x, splat(limit), _CMP_NLT_UQ), v);
}
YOUTU_INLINE __m256 fold_half(const Sixteen& a) { return a.v[0] + a.v[1]; }
YOUTU_INLINE float highest(V v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
using Int = __m256i;
YOUTU_INLINE Int splat_int(int32_t x) { return _mm256_set1_epi32(x); }
YOUTU_INLINE Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
YOUTU_INLINE V to_float(Int v) { return _mm256_cvtepi32_ps(v); }

#elif defined(__ARM_NEON)

using V = float32x4_t;
constexpr int kWidth = 4, kRegisters = 32;
struct Sixteen {
  V v[16 / kWidth];
};
YOUTU_INLINE V load(const float* p) { return vld1q_f32(p); }
YOUTU_INLINE V load(const half* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))); }
YOUTU_INLINE V load(const int8_t* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
YOUTU_INLINE V load(const uint8_t* p) {
  uint32_t four;
  std::memcpy(&four, p, 4);
  const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)));
}
YOUTU_INLINE void store(float* p, V v) { vst1q_f32(p, v); }
YOUTU_INLINE void store(half* p, V v) { vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
YOUTU_INLINE V splat(float x) { return vdupq_n_f32(x); }
YOUTU_INLINE V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
YOUTU_INLINE V max(V a, V b) { return vmaxq_f32(a, b); }
YOUTU_INLINE V min(V a, V b) { return vminq_f32(a, b); }
YOUTU_INLINE float highest(V v) { return vmaxvq_f32(v); }
YOUTU_INLINE V nearest(V v) { return vrndnq_f32(v); }
YOUTU_INLINE V power_of_two(V n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
YOUTU_INLINE V zero_below(V x, float limit, V v) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcltq_f32(x, splat(limit))));
}
YOUTU_INLINE void store_sums(float* p, const Sixteen& a, const Sixteen& b, const Sixteen& c, const Sixteen& d) {
  const V low = vpaddq_f32(vpaddq_f32(a.v[0] + a.v[2], b.v[0] + b.v[2]), vpaddq_f32(c.v[0] + c.v[2], d.v[0] + d.v[2]));
  const V high = vpaddq_f32(vpaddq_f32(a.v[1] + a.v[3], b.v[1] + b.v[3]), vpaddq_f32(c.v[1] + c.v[3], d.v[1] + d.v[3]));
  vst1q_f32(p, low + high);
}
using Int = int32x4_t;
YOUTU_INLINE Int splat_int(int32_t x) { return vdupq_n_s32(x); }
YOUTU_INLINE Int load_int(const int32_t* p) { return vld1q_s32(p); }
YOUTU_INLINE Int add(Int a, Int b) { return vaddq_s32(a, b); }
YOUTU_INLINE V to_float(Int v) { return vcvtq_f32_s32(v); }

#else
#include "simd_portable.inc"
#endif

// Sixteen: sums of every sixteenth value, identical on every processor whatever its register width. They are added up in
// one fixed order:
//
//   y[j] = v[j] + v[j + 8]        ((y0 + y1) + (y2 + y3)) + ((y4 + y5) + (y6 + y7))
#if defined(__AVX2__)
// The totals of a, b, c and d -> p[0..4)
YOUTU_INLINE void store_sums(float* p, const Sixteen& a, const Sixteen& b, const Sixteen& c, const Sixteen& d) {
  const __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(fold_half(a), fold_half(b)), _mm256_hadd_ps(fold_half(c), fold_half(d)));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
#endif
YOUTU_INLINE Sixteen sixteen_zeros() {
  Sixteen s;
  for (V& v : s.v) v = splat(0.0f);
  return s;
}
YOUTU_INLINE float sum(const Sixteen& s) {
  float total[4];
  store_sums(total, s, s, s, s);
  return total[0];
}
YOUTU_INLINE float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_NEON)
  return __builtin_fmaf(a, b, c);
#else
  return fma(splat(a), splat(b), splat(c))[0];
#endif
}

// exp(x), relative error about 1e-7; exactly 0 below -87.3 and clamped above, so that masked scores and overflow need no
// branch.
YOUTU_INLINE V exp(V x) {
  const V clamped = min(max(x, splat(-87.3f)), splat(88.3f));
  const V n = nearest(clamped * splat(1.44269504f));
  V r = fma(n, splat(-0.693359375f), clamped);  // ln 2 in two parts: n times the first one is exact
  r = fma(n, splat(2.12194440e-4f), r);
  V p = splat(1.9875691500e-4f);  // Cephes expf
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r + splat(1.0f));
  return zero_below(x, -87.3f, p * power_of_two(n));
}

// The scalar version.
YOUTU_INLINE float widen(float x) { return x; }
YOUTU_INLINE float widen(int8_t x) { return x; }
YOUTU_INLINE float widen(half x) {
  half all[kWidth] = {};
  all[0] = x;
  float out[kWidth];
  store(out, load(all));
  return out[0];
}
YOUTU_INLINE void narrow(float x, float* p) { *p = x; }
YOUTU_INLINE void narrow(float x, half* p) {
  half all[kWidth];
  store(all, splat(x));
  *p = all[0];
}

YOUTU_INLINE size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

}  // namespace youtu::YOUTU_ISA
