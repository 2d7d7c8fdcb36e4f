// One vector of floats, `kWidth` wide, for each instruction set. Included only by kernel sources,
// inside whatever namespace the build gives this instruction set (YOUTU_ISA), so that no function
// here can be shared between two of them.
//
//                     width   registers
//   x86-64-v4          16        32
//   x86-64-v3           8        16
//   NEON                4        32
//   portable            4        16   compiler vectors, float16 by integer arithmetic
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

namespace youtu::YOUTU_ISA {

struct half {
  uint16_t bits;
};

#if defined(__AVX512F__)

using V = __m512;
constexpr int kWidth = 16, kRegisters = 32;
YOUTU_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
YOUTU_INLINE V load(const half* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
YOUTU_INLINE V load(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
YOUTU_INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
YOUTU_INLINE void store(half* p, V v) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(v, 0)); }
YOUTU_INLINE V splat(float x) { return _mm512_set1_ps(x); }
YOUTU_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
YOUTU_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
YOUTU_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
YOUTU_INLINE float sum(V v) { return _mm512_reduce_add_ps(v); }
YOUTU_INLINE float highest(V v) { return _mm512_reduce_max_ps(v); }
YOUTU_INLINE V nearest(V v) { return _mm512_roundscale_ps(v, 0); }
YOUTU_INLINE V power_of_two(V n) { return _mm512_scalef_ps(splat(1.0f), n); }
YOUTU_INLINE V zero_below(V x, float limit, V v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, splat(limit), _CMP_NLT_UQ), v);
}
// {sum(a), sum(b), sum(c), sum(d)} -> p[0..4)
YOUTU_INLINE void store_sums(float* p, V a, V b, V c, V d) {
  const V ab = _mm512_unpacklo_ps(a, b) + _mm512_unpackhi_ps(a, b);
  const V cd = _mm512_unpacklo_ps(c, d) + _mm512_unpackhi_ps(c, d);
  const V s = _mm512_shuffle_ps(ab, cd, 0x44) + _mm512_shuffle_ps(ab, cd, 0xee);
  const __m256 t = _mm512_castps512_ps256(s) + _mm512_extractf32x8_ps(s, 1);
  _mm_storeu_ps(p, _mm256_castps256_ps128(t) + _mm256_extractf128_ps(t, 1));
}
YOUTU_INLINE void transpose(V (&r)[16]) {
  V t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
  }
}

#elif defined(__AVX2__)

using V = __m256;
constexpr int kWidth = 8, kRegisters = 16;
YOUTU_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
YOUTU_INLINE V load(const half* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
YOUTU_INLINE V load(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
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
YOUTU_INLINE void store_sums(float* p, V a, V b, V c, V d) {
  const V s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
YOUTU_INLINE float sum(V v) {
  float s[4];
  store_sums(s, v, v, v, v);
  return s[0];
}
YOUTU_INLINE float highest(V v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
YOUTU_INLINE void transpose(V (&r)[8]) {
  V t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    const V low = r[i], high = r[i + 4];
    r[i] = _mm256_permute2f128_ps(low, high, 0x20);
    r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}

#elif defined(__ARM_NEON)

using V = float32x4_t;
constexpr int kWidth = 4, kRegisters = 32;
YOUTU_INLINE V load(const float* p) { return vld1q_f32(p); }
YOUTU_INLINE V load(const half* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))); }
YOUTU_INLINE V load(const int8_t* p) {
  int32_t four;
  std::memcpy(&four, p, 4);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
YOUTU_INLINE void store(float* p, V v) { vst1q_f32(p, v); }
YOUTU_INLINE void store(half* p, V v) { vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
YOUTU_INLINE V splat(float x) { return vdupq_n_f32(x); }
YOUTU_INLINE V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
YOUTU_INLINE V max(V a, V b) { return vmaxq_f32(a, b); }
YOUTU_INLINE V min(V a, V b) { return vminq_f32(a, b); }
YOUTU_INLINE float sum(V v) { return vaddvq_f32(v); }
YOUTU_INLINE float highest(V v) { return vmaxvq_f32(v); }
YOUTU_INLINE V nearest(V v) { return vrndnq_f32(v); }
YOUTU_INLINE V power_of_two(V n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
YOUTU_INLINE V zero_below(V x, float limit, V v) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcltq_f32(x, splat(limit))));
}
YOUTU_INLINE void store_sums(float* p, V a, V b, V c, V d) {
  vst1q_f32(p, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
YOUTU_INLINE void transpose(V (&r)[4]) {
  const float32x4x2_t ab = vtrnq_f32(r[0], r[1]), cd = vtrnq_f32(r[2], r[3]);
  r[0] = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
  r[1] = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
  r[2] = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
  r[3] = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}

#else
#include "simd_portable.inc"
#endif

// exp(x), about 1e-7 relative; exactly 0 below -87.3 and bounded above, so that neither a masked score
// nor an overflow needs a branch.
YOUTU_INLINE V exp(V x) {
  const V clamped = min(max(x, splat(-87.3f)), splat(88.3f));
  const V n = nearest(clamped * splat(1.44269504f));
  V r = fma(n, splat(-0.693359375f), clamped);  // ln 2 in two parts: the first one is exact times n
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

// One element.
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
