// The two register-blocked products that everything heavier than a vector is made of.
//
//   dot_rows   C[R, 4]  = A[R, k] . B[4, k]^T        both read along k; few rows, no transposition
//   gemm       C[r, n] += A[r, k] . B[k, n]          A broadcast, B read along n; many rows
#pragma once

#include "simd.h"

namespace youtu::YOUTU_ISA {

constexpr int kDotRows = kRegisters == 32 ? 6 : 2;   // R * 4 sums, 4 of B, 1 of A
constexpr int kTileRows = kRegisters == 32 ? 6 : 4;  // R * N sums, N of B, 1 of A
constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;

template <int R, class T>
YOUTU_INLINE void dot_tile(const float* a, size_t a_stride, const T* const* b, size_t k, float* c, size_t c_stride) {
  const T *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  V s[R][4];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) s[r][0] = s[r][1] = s[r][2] = s[r][3] = splat(0.0f);
  for (size_t i = 0; i < k; i += kWidth) {
    const V v0 = load(b0 + i), v1 = load(b1 + i), v2 = load(b2 + i), v3 = load(b3 + i);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V q = load(a + r * a_stride + i);
      s[r][0] = fma(q, v0, s[r][0]);
      s[r][1] = fma(q, v1, s[r][1]);
      s[r][2] = fma(q, v2, s[r][2]);
      s[r][3] = fma(q, v3, s[r][3]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) store_sums(c + r * c_stride, s[r][0], s[r][1], s[r][2], s[r][3]);
}

// k must be a multiple of kWidth.
template <class T>
static inline void dot_rows(const float* a, size_t a_stride, size_t rows, const T* const* b, size_t k, float* c,
                            size_t c_stride) {
  size_t r = 0;
  for (; r + kDotRows <= rows; r += kDotRows)
    dot_tile<kDotRows>(a + r * a_stride, a_stride, b, k, c + r * c_stride, c_stride);
  a += r * a_stride;
  c += r * c_stride;
  switch (rows - r) {
    case 5: return dot_tile<5>(a, a_stride, b, k, c, c_stride);
    case 4: return dot_tile<4>(a, a_stride, b, k, c, c_stride);
    case 3: return dot_tile<3>(a, a_stride, b, k, c, c_stride);
    case 2: return dot_tile<2>(a, a_stride, b, k, c, c_stride);
    case 1: return dot_tile<1>(a, a_stride, b, k, c, c_stride);
    default: return;
  }
}

// B of a gemm: a dense matrix, or rows that lie anywhere (the cache rows of some keys).
template <class T>
struct Dense {
  const T* data;
  size_t stride;
  const T* at(size_t k, size_t n) const { return data + k * stride + n; }
};
template <class T>
struct Scattered {
  const T* const* rows;
  const T* at(size_t k, size_t n) const { return rows[k] + n; }
};

template <int R, int N, class B>
YOUTU_INLINE void gemm_tile(const float* a, size_t a_stride, const B& b, size_t n, size_t k, const float* c_in, float* c,
                            size_t c_stride) {
  V s[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) s[r][j] = c_in ? load(c_in + r * c_stride + n + j * kWidth) : splat(0.0f);
  for (size_t i = 0; i < k; ++i) {
    V v[N];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) v[j] = load(b.at(i, n + j * kWidth));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V x = splat(a[r * a_stride + i]);
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) s[r][j] = fma(x, v[j], s[r][j]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) store(c + r * c_stride + n + j * kWidth, s[r][j]);
}

template <int N, class B>
static inline void gemm_columns(const float* a, size_t a_stride, size_t rows, const B& b, size_t n, size_t k,
                                const float* c_in, float* c, size_t c_stride) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    gemm_tile<kTileRows, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    a += kTileRows * a_stride;
    c += kTileRows * c_stride;
    if (c_in) c_in += kTileRows * c_stride;
  }
  switch (rows) {
    case 5: return gemm_tile<5, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    case 4: return gemm_tile<4, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    case 3: return gemm_tile<3, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    case 2: return gemm_tile<2, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    case 1: return gemm_tile<1, N>(a, a_stride, b, n, k, c_in, c, c_stride);
    default: return;
  }
}

// C[rows, begin..end) = c_in (null: 0; may be C) + A . B. end - begin must be a multiple of kWidth.
template <class B>
static inline void gemm(const float* a, size_t a_stride, size_t rows, const B& b, size_t begin, size_t end, size_t k,
                        const float* c_in, float* c, size_t c_stride) {
  size_t n = begin;
  for (; n + kTileVectors * kWidth <= end; n += kTileVectors * kWidth)
    gemm_columns<kTileVectors>(a, a_stride, rows, b, n, k, c_in, c, c_stride);
  for (; n < end; n += kWidth) gemm_columns<1>(a, a_stride, rows, b, n, k, c_in, c, c_stride);
}

// target[i, j] = rows[j][i] for i in [0, k), j in [0, count); count a multiple of kWidth, the stride of target.
template <class T>
static inline void transpose_rows(const T* const* rows, size_t count, size_t k, float* target, size_t stride) {
  size_t i = 0;
  for (; i + kWidth <= k; i += kWidth)
    for (size_t j = 0; j < count; j += kWidth) {
      V block[kWidth];
      for (int r = 0; r < kWidth; ++r) block[r] = load(rows[j + r] + i);
      transpose(block);
      for (int r = 0; r < kWidth; ++r) store(target + (i + r) * stride + j, block[r]);
    }
  for (; i < k; ++i)
    for (size_t j = 0; j < count; ++j) target[i * stride + j] = widen(rows[j][i]);
}

}  // namespace youtu::YOUTU_ISA
