// Integer dot products for each instruction set, the inner loop of Linear.
//
// A tile is kTileRows = 16 rows of a matrix. Its codes are stored in groups of 64 bytes, 4 adjacent values of a row in each
// 32-bit lane:
//
//   8 bits   | k..k+3 of row 0 | k..k+3 of row 1 | … | k..k+3 of row 15 |
//   4 bits     the same, values k..k+3 in the low nibbles and k+4..k+7 in the high ones
//
// The rows of a tile are processed together, in kWhole registers. Integer sums do not depend on their order, so every
// instruction set gives the same results.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace youtu::YOUTU_ISA {

constexpr size_t kGroupBytes = 64;
constexpr int kWhole = kTileRows / kWidth;  // registers for one value of every row of a tile

YOUTU_INLINE int32_t four(const int8_t* a) {
  int32_t bits;
  std::memcpy(&bits, a, 4);
  return bits;
}

template <int T>
YOUTU_INLINE void clear(Int (&sums)[T][kWhole]) {
YOUTU_UNROLL
  for (int t = 0; t < T; ++t)
YOUTU_UNROLL
    for (int p = 0; p < kWhole; ++p) sums[t][p] = splat_int(0);
}

// sums[t][p] = codes . activations over `block` values, a multiple of 16, for kPartsAtOnce<T> registers of a tile;
// `codes` points to the first register's. sums_to_float() converts them. Activations of `rows` rows are interleaved, four
// values of a row at a time: a[k / 4][rows][4]; T of the rows are processed.
//
//   template <int Bits, int T>
//   void dot_block(const uint8_t* codes, const int8_t* a, size_t rows, size_t block, Int (&sums)[T][kPartsAtOnce<T>]);

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

constexpr bool kVnni = true;

// `codes` times the same four activations for every row of the tile. The compiler must not move it: with sixteen registers it
// would load activations for later sums first, and spill the sums.
#if defined(__AVX512VNNI__)
YOUTU_INLINE Int broadcast4(const int8_t* a) { return _mm512_set1_epi32(four(a)); }
YOUTU_INLINE void add_dot4(Int& sum, Int codes, Int a) { sum = _mm512_dpbusd_epi32(sum, codes, a); }
YOUTU_INLINE Int load_codes(const uint8_t* p) { return _mm512_loadu_si512(p); }
YOUTU_INLINE Int low_nibbles(Int w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
YOUTU_INLINE Int high_nibbles(Int w) { return low_nibbles(_mm512_srli_epi16(w, 4)); }
#else
YOUTU_INLINE Int broadcast4(const int8_t* a) { return _mm256_set1_epi32(four(a)); }
YOUTU_INLINE void add_dot4(Int& sum, Int codes, Int a) {
  sum = _mm256_dpbusd_avx_epi32(sum, codes, a);
  asm volatile("" : "+x"(sum));
}
YOUTU_INLINE Int load_codes(const uint8_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
YOUTU_INLINE Int low_nibbles(Int w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
YOUTU_INLINE Int high_nibbles(Int w) { return low_nibbles(_mm256_srli_epi16(w, 4)); }
#endif

template <int Bits, int T>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t rows, size_t block, Int (&sums)[T][kWhole]) {
  // Instructions on the same sum depend on each other: with few sums, a second set hides the latency.
  constexpr int kSets = T * kWhole <= 2 ? 2 : 1;
  Int more[T][kWhole];
  clear(sums);
  clear(more);
  for (size_t begin = 0; begin < block; begin += 16)
YOUTU_UNROLL
    for (size_t k = begin; k < begin + 16; k += 8) {
      Int low[kWhole], high[kWhole];
YOUTU_UNROLL
      for (int p = 0; p < kWhole; ++p) {
        const uint8_t* from = codes + p * kWidth * 4 + k * (Bits == 4 ? 8 : 16);
        const Int w = load_codes(from);
        low[p] = Bits == 4 ? low_nibbles(w) : w;
        high[p] = Bits == 4 ? high_nibbles(w) : load_codes(from + kGroupBytes);
      }
YOUTU_UNROLL
      for (int t = 0; t < T; ++t) {
        const int8_t* row = a + k * rows + t * 4;
        const Int first = broadcast4(row), second = broadcast4(row + rows * 4);
YOUTU_UNROLL
        for (int p = 0; p < kWhole; ++p) {
          add_dot4(sums[t][p], low[p], first);
          add_dot4(kSets == 2 ? more[t][p] : sums[t][p], high[p], second);
        }
      }
    }
  if constexpr (kSets == 2) {
YOUTU_UNROLL
    for (int t = 0; t < T; ++t)
YOUTU_UNROLL
      for (int p = 0; p < kWhole; ++p) sums[t][p] = add(sums[t][p], more[t][p]);
  }
}

#elif defined(__AVX2__)

// A float, which the compiler broadcasts straight from memory; an integer would go through two registers.
YOUTU_INLINE __m256i broadcast4(const int8_t* a) {
  return _mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float*>(a)));
}

// vpmaddubsw adds two products of an unsigned and a signed byte in 16 bits. Eight of its results can be accumulated before
// widening: 8 * 2 * 15 * 127 = 30480.
template <int Groups, bool kFirst, int T>
YOUTU_INLINE void add_pairs(const uint8_t* codes, const int8_t* a, size_t rows, Int (&sums)[T][kWhole]) {
  const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  __m256i pairs[T][kWhole];
YOUTU_UNROLL
  for (int g = 0; g < Groups; ++g) {
    __m256i low[kWhole], high[kWhole];
YOUTU_UNROLL
    for (int p = 0; p < kWhole; ++p) {
      const __m256i w = _mm256_loadu_si256((const __m256i*)(codes + g * kGroupBytes + p * 32));
      low[p] = _mm256_and_si256(w, mask);
      high[p] = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
    }
YOUTU_UNROLL
    for (int t = 0; t < T; ++t) {
      const int8_t* row = a + g * 8 * rows + t * 4;
      const __m256i first = broadcast4(row), second = broadcast4(row + rows * 4);
YOUTU_UNROLL
      for (int p = 0; p < kWhole; ++p) {
        const __m256i one = _mm256_maddubs_epi16(low[p], first), two = _mm256_maddubs_epi16(high[p], second);
        pairs[t][p] = g ? _mm256_add_epi16(pairs[t][p], one) : one;
        pairs[t][p] = _mm256_add_epi16(pairs[t][p], two);
        asm volatile("" : : "x"(pairs[t][p]));  // or the compiler hoists all products and runs out of registers
      }
    }
  }
YOUTU_UNROLL
  for (int t = 0; t < T; ++t)
YOUTU_UNROLL
    for (int p = 0; p < kWhole; ++p) {
      const Int sum = _mm256_madd_epi16(pairs[t][p], ones);
      sums[t][p] = kFirst ? sum : add(sums[t][p], sum);
    }
}

template <int Bits, int T>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t rows, size_t block, Int (&sums)[T][kWhole]) {
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (Bits == 4) {
    if (block == 16) return add_pairs<2, true>(codes, a, rows, sums);
    add_pairs<4, true>(codes, a, rows, sums);
    for (size_t k = 32; k < block; k += 32) add_pairs<4, false>(codes + k * 8, a + k * rows, rows, sums);
  } else {
    clear(sums);
    // code * a = 128 * a + |w| * (a with the sign of w), w = code - 128: an unsigned factor that fits.
    const __m256i flip = _mm256_set1_epi8(int8_t(-128));
    for (size_t begin = 0; begin < block; begin += 16)
YOUTU_UNROLL
    for (size_t k = begin; k < begin + 16; k += 4) {
YOUTU_UNROLL
      for (int p = 0; p < kWhole; ++p) {
        const __m256i w = _mm256_xor_si256(_mm256_loadu_si256((const __m256i*)(codes + k * 16 + p * 32)), flip);
        const __m256i magnitude = _mm256_abs_epi8(w);
YOUTU_UNROLL
        for (int t = 0; t < T; ++t) {
          const __m256i x = broadcast4(a + k * rows + t * 4);
          const __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
          sums[t][p] = add(sums[t][p], _mm256_madd_epi16(products, ones));
        }
      }
    }
  }
}

#elif defined(__ARM_FEATURE_DOTPROD)

// A sum starts as the bits of the float 1.5 * 2^23, whose lowest bit has the value 1: adding an integer to the bits adds it
// to the float. A float subtraction then yields the sum; a conversion would occupy one of the two pipelines for two cycles.
// At most 128 * 127 * 256, which is below 2^22, is added.
constexpr float kSumsBegin = 12582912.0f;

YOUTU_INLINE V sums_to_float(Int sums) { return vreinterpretq_f32_s32(sums) - splat(kSumsBegin); }

YOUTU_INLINE Int dot_word(Int sum, int8x16_t codes, int8x16_t a, int word) {
  switch (word) {
    case 0: return vdotq_laneq_s32(sum, codes, a, 0);
    case 1: return vdotq_laneq_s32(sum, codes, a, 1);
    case 2: return vdotq_laneq_s32(sum, codes, a, 2);
    default: return vdotq_laneq_s32(sum, codes, a, 3);
  }
}

// As many as have sums that fit into 16 registers.
template <int T>
constexpr int kPartsAtOnce = T * kWhole <= 16 ? kWhole : kWhole / 2;

// sdot by element: 16 values of each of the T rows fill T registers, in which the rows' words alternate.
template <int Bits, int T, int Parts>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t rows, size_t block, Int (&sums)[T][Parts]) {
  (void)rows;  // T: nothing lies between the words of the rows
  const uint8x16_t mask = vdupq_n_u8(15), flip = vdupq_n_u8(128);
YOUTU_UNROLL
  for (int t = 0; t < T; ++t)
YOUTU_UNROLL
    for (int part = 0; part < Parts; ++part) sums[t][part] = vreinterpretq_s32_f32(splat(kSumsBegin));
  for (size_t k = 0; k < block; k += 16) {
    int8x16_t x[T];
YOUTU_UNROLL
    for (int i = 0; i < T; ++i) x[i] = vld1q_s8(a + k * T + i * 16);
YOUTU_UNROLL
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
YOUTU_UNROLL
        for (int i = 0; i < 4; ++i) w[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p + k * 16 + i * kGroupBytes), flip));
      }
YOUTU_UNROLL
      for (int t = 0; t < T; ++t)
YOUTU_UNROLL
        for (int i = 0; i < 4; ++i) sums[t][part] = dot_word(sums[t][part], w[i], x[(i * T + t) / 4], (i * T + t) % 4);
    }
  }
}

#else

template <int Bits, int T>
YOUTU_INLINE void dot_block(const uint8_t* codes, const int8_t* a, size_t rows, size_t block, Int (&sums)[T][kWhole]) {
    for (int t = 0; t < T; ++t) {
    int32_t total[kTileRows] = {};
    for (size_t k = 0; k < block; k += Bits == 4 ? 8 : 4) {
      const uint8_t* w = codes + k * (Bits == 4 ? 8 : 16);
      const int8_t *x = a + k * rows + t * 4, *next = x + rows * 4;
      for (size_t r = 0; r < kTileRows; ++r)
        for (int j = 0; j < 4; ++j)
          total[r] += Bits == 4 ? (w[4 * r + j] & 15) * x[j] + (w[4 * r + j] >> 4) * next[j] : w[4 * r + j] * x[j];
    }
    for (int part = 0; part < kWhole; ++part) sums[t][part] = load_int(total + part * kWidth);
  }
}

#endif

#if !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
constexpr bool kVnni = false;
#endif

#if !defined(__ARM_FEATURE_DOTPROD)
template <int T>
constexpr int kPartsAtOnce = kWhole;
YOUTU_INLINE V sums_to_float(Int sums) { return to_float(sums); }
#endif

// The offset that dot_block() subtracts from eight-bit codes, to be added back times the sum of the activations: two
// instruction sets multiply by code - 128, the others by the code itself.
#if (defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)) || defined(__ARM_FEATURE_DOTPROD)
constexpr int kEightBitShift = 128;
#else
constexpr int kEightBitShift = 0;
#endif

}  // namespace youtu::YOUTU_ISA
