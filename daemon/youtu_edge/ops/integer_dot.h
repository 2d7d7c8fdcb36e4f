// Sums of products of small integers, for each instruction set: what Linear is made of.
//
// A tile is kTileRows = 16 rows of a matrix. Its codes lie in groups of 64 bytes, 4 neighbouring values of a row in each
// 32-bit lane:
//
//   8 bits   | k..k+3 of row 0 | k..k+3 of row 1 | … | k..k+3 of row 15 |
//   4 bits     the same, values k..k+3 in the low nibbles and k+4..k+7 in the high ones
//
// Rows of the matrix are worked on together in `Parts` registers of kWidth lanes: all of a tile, or a part of it where
// the sums of several rows of activations would not fit otherwise. Integers have no order, so every instruction set gives
// the same sums.
#pragma once

#include "simd.h"

namespace youtu::YOUTU_ISA {

constexpr size_t kGroupBytes = 64;

YOUTU_INLINE int32_t four(const int8_t* a) {
  int32_t bits;
  std::memcpy(&bits, a, 4);
  return bits;
}

// sums[t][part] += codes . activations over `block` values, a multiple of 16. `codes` points at the first lane; row t of
// the activations lies at a + t * stride.
//
//   template <int Bits, int T, int Parts>
//   void dot_block(const uint8_t* codes, const int8_t* a, size_t stride, size_t block, Int (&sums)[T][Parts]);

#if defined(__AVX512VNNI__)

YOUTU_INLINE Int dot4(Int sum, Int codes, const int8_t* a) {
  return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(four(a)));
}

#elif defined(__AVXVNNI__)

YOUTU_INLINE Int dot4(Int sum, Int codes, const int8_t* a) {
  return _mm256_dpbusd_avx_epi32(sum, codes, _mm256_set1_epi32(four(a)));
}

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

#if defined(__AVX512VNNI__)
YOUTU_INLINE Int load_codes(const uint8_t* p) { return _mm512_loadu_si512(p); }
YOUTU_INLINE Int low_nibbles(Int w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
YOUTU_INLINE Int high_nibbles(Int w) { return low_nibbles(_mm512_srli_epi16(w, 4)); }
#else
YOUTU_INLINE Int load_codes(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
YOUTU_INLINE Int low_nibbles(Int w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
YOUTU_INLINE Int high_nibbles(Int w) { return low_nibbles(_mm256_srli_epi16(w, 4)); }
#endif

template <int Bits, int T, int Parts>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t stride, size_t block,
                            Int (&sums)[T][Parts]) {
  // One instruction waits for the one before it in the same sum: few sums need a second set.
  constexpr int kSets = T * Parts <= 2 ? 2 : 1;
  Int more[T][Parts];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int p = 0; p < Parts; ++p) more[t][p] = splat_int(0);
  for (size_t begin = 0; begin < block; begin += 16)
#pragma GCC unroll 2
    for (size_t k = begin; k < begin + 16; k += 8)
#pragma GCC unroll 2
      for (int p = 0; p < Parts; ++p) {
        const uint8_t* from = codes + p * kWidth * 4 + k * (Bits == 4 ? 8 : 16);
        const Int w = load_codes(from);
        const Int low = Bits == 4 ? low_nibbles(w) : w;
        const Int high = Bits == 4 ? high_nibbles(w) : load_codes(from + kGroupBytes);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const int8_t* row = a + t * stride + k;
          sums[t][p] = dot4(sums[t][p], low, row);
          Int& second = kSets == 2 ? more[t][p] : sums[t][p];
          second = dot4(second, high, row + 4);
        }
      }
  if constexpr (kSets == 2) {
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int p = 0; p < Parts; ++p) sums[t][p] = add(sums[t][p], more[t][p]);
  }
}

#elif defined(__AVX2__)

// vpmaddubsw adds two products of an unsigned and a signed byte in 16 bits. Eight of its results fit there before they have
// to be widened: 8 * 2 * 15 * 127 = 30480.
template <int Groups, int T, int Parts>
YOUTU_INLINE void add_pairs(const uint8_t* codes, const int8_t* a, size_t stride, Int (&sums)[T][Parts]) {
  const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  __m256i pairs[T][Parts];
#pragma GCC unroll 4
  for (int g = 0; g < Groups; ++g)
#pragma GCC unroll 2
    for (int p = 0; p < Parts; ++p) {
      const __m256i w = _mm256_loadu_si256((const __m256i*)(codes + g * kGroupBytes + p * 32));
      const __m256i low = _mm256_and_si256(w, mask), high = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        const int8_t* row = a + t * stride + g * 8;
        const __m256i one = _mm256_maddubs_epi16(low, _mm256_set1_epi32(four(row)));
        const __m256i two = _mm256_maddubs_epi16(high, _mm256_set1_epi32(four(row + 4)));
        pairs[t][p] = g ? _mm256_add_epi16(pairs[t][p], one) : one;
        pairs[t][p] = _mm256_add_epi16(pairs[t][p], two);
        asm volatile("" : "+x"(pairs[t][p]));  // now, or the compiler computes everything first and runs out of registers
      }
    }
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int p = 0; p < Parts; ++p) sums[t][p] = add(sums[t][p], _mm256_madd_epi16(pairs[t][p], ones));
}

template <int Bits, int T, int Parts>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t stride, size_t block,
                            Int (&sums)[T][Parts]) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (Bits == 4) {
    for (; block >= 32; block -= 32, codes += 4 * kGroupBytes, a += 32) add_pairs<4>(codes, a, stride, sums);
    if (block) add_pairs<2>(codes, a, stride, sums);
  } else {
    // code * a = 128 * a + |w| * (a with the sign of w), w = code - 128: an unsigned factor that fits.
    const __m256i flip = _mm256_set1_epi8(int8_t(-128));
    for (size_t begin = 0; begin < block; begin += 16)
#pragma GCC unroll 4
    for (size_t k = begin; k < begin + 16; k += 4) {
#pragma GCC unroll 2
      for (int p = 0; p < Parts; ++p) {
        const __m256i w = _mm256_xor_si256(_mm256_loadu_si256((const __m256i*)(codes + k * 16 + p * 32)), flip);
        const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256i x = _mm256_set1_epi32(four(a + t * stride + k));
          const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
          sums[t][p] = add(sums[t][p], _mm256_madd_epi16(products, ones));
        }
      }
    }
  }
}

#elif defined(__ARM_FEATURE_DOTPROD)

// sdot by element: one register of activations serves 16 values of a row.
template <int Bits, int T, int Parts>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t stride, size_t block,
                            Int (&sums)[T][Parts]) {
  const uint8x16_t mask = vdupq_n_u8(15), flip = vdupq_n_u8(128);
  for (size_t k = 0; k < block; k += 16) {
    int8x16_t x[T];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) x[t] = vld1q_s8(a + t * stride + k);
#pragma GCC unroll 4
    for (int part = 0; part < Parts; ++part) {
      const uint8_t* p = codes + part * 16;
      int8x16_t w[4];
      if constexpr (Bits == 4) {
        const uint8x16_t first = vld1q_u8(p + k * 8), second = vld1q_u8(p + k * 8 + kGroupBytes);
        w[0] = vreinterpretq_s8_u8(vandq_u8(first, mask));
        w[1] = vreinterpretq_s8_u8(vshrq_n_u8(first, 4));
        w[2] = vreinterpretq_s8_u8(vandq_u8(second, mask));
        w[3] = vreinterpretq_s8_u8(vshrq_n_u8(second, 4));
      } else {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) w[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p + k * 16 + i * kGroupBytes), flip));
      }
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) {
        sums[t][part] = vdotq_laneq_s32(sums[t][part], w[0], x[t], 0);
        sums[t][part] = vdotq_laneq_s32(sums[t][part], w[1], x[t], 1);
        sums[t][part] = vdotq_laneq_s32(sums[t][part], w[2], x[t], 2);
        sums[t][part] = vdotq_laneq_s32(sums[t][part], w[3], x[t], 3);
      }
    }
  }
}

#else

template <int Bits, int T, int Parts>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t stride, size_t block,
                            Int (&sums)[T][Parts]) {
  constexpr int kRows = Parts * kWidth;
  for (int t = 0; t < T; ++t) {
    int32_t total[kRows] = {};
    for (size_t k = 0; k < block; k += Bits == 4 ? 8 : 4) {
      const uint8_t* w = codes + k * (Bits == 4 ? 8 : 16);
      const int8_t* x = a + t * stride + k;
      for (int r = 0; r < kRows; ++r)
        for (int j = 0; j < 4; ++j)
          total[r] += Bits == 4 ? (w[4 * r + j] & 15) * x[j] + (w[4 * r + j] >> 4) * x[4 + j] : w[4 * r + j] * x[j];
    }
    for (int part = 0; part < Parts; ++part) sums[t][part] = add(sums[t][part], load_int(total + part * kWidth));
  }
}

#endif

// Sums that start with the part of the zero points save an addition, and take registers for longer.
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
constexpr bool kZerosFirst = false;
#else
constexpr bool kZerosFirst = true;
#endif

// What dot_block() leaves out of eight-bit codes, in multiples of the sum of the activations: two instruction sets
// multiply by code - 128 where the others multiply by the code itself.
#if (defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)) || defined(__ARM_FEATURE_DOTPROD)
constexpr int kEightBitShift = 128;
#else
constexpr int kEightBitShift = 0;
#endif

}  // namespace youtu::YOUTU_ISA
