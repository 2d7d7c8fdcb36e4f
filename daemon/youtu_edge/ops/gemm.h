// The two register-blocked float matrix products.
//
//   dot_rows   C[r, j]  = A[r, k] . B[j, k]^T        both read along k, in sixteen lanes (simd.h)
//   gemm       C[r, n] += A[r, k] . B[k, n]          A broadcast, B read along n, k in order
//
// Results are bit-identical for any number of rows and any tiling.
#pragma once

#include "simd.h"

namespace youtu::YOUTU_ISA {

constexpr int kLaneVectors = 16 / kWidth;
constexpr int kDotRows = kWidth == 4 && kRegisters == 16 ? 1 : kWidth == 16 ? 6 : 3;  // R * C * kLaneVectors sums
constexpr int kDotColumns = kWidth == 4 && kRegisters == 16 ? 1 : kWidth == 16 ? 4 : 2;
constexpr int kTileRowsAtOnce = kRegisters == 32 ? 6 : 4;  // R * N sums, N of B, 1 of A
constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;

template <int R, int C, class T>
YOUTU_INLINE void dot_tile(const float* a, size_t a_stride, const T* const* b, size_t k, float* c, size_t c_stride) {
  Sixteen s[R * C];
#pragma GCC unroll 24
  for (int i = 0; i < R * C; ++i)
#pragma GCC unroll 4
    for (int l = 0; l < kLaneVectors; ++l) s[i].v[l] = splat(0.0f);
  for (size_t i = 0; i < k; i += 16)
#pragma GCC unroll 4
    for (int l = 0; l < kLaneVectors; ++l) {
      V v[C];
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) v[j] = load(b[j] + i + l * kWidth);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const V q = load(a + r * a_stride + i + l * kWidth);
#pragma GCC unroll 4
        for (int j = 0; j < C; ++j) s[r * C + j].v[l] = fma(q, v[j], s[r * C + j].v[l]);
      }
    }
  float totals[(R * C + 3) / 4 * 4];
#pragma GCC unroll 6
  for (int i = 0; i < R * C; i += 4) {
    const int last = R * C - 1;
    store_sums(totals + i, s[i], s[i + 1 < last ? i + 1 : last], s[i + 2 < last ? i + 2 : last], s[i + 3 < last ? i + 3 : last]);
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < C; ++j) c[r * c_stride + j] = totals[r * C + j];
}

template <int C, class T>
static inline void dot_columns(const float* a, size_t a_stride, size_t rows, const T* const* b, size_t k, float* c,
                               size_t c_stride) {
  for (; rows >= kDotRows; rows -= kDotRows) {
    dot_tile<kDotRows, C>(a, a_stride, b, k, c, c_stride);
    a += kDotRows * a_stride;
    c += kDotRows * c_stride;
  }
  switch (rows) {
    case 5: return dot_tile<kDotRows < 6 ? 1 : 5, C>(a, a_stride, b, k, c, c_stride);
    case 4: return dot_tile<kDotRows < 6 ? 1 : 4, C>(a, a_stride, b, k, c, c_stride);
    case 3: return dot_tile<kDotRows < 6 ? 1 : 3, C>(a, a_stride, b, k, c, c_stride);
    case 2: return dot_tile<kDotRows < 3 ? 1 : 2, C>(a, a_stride, b, k, c, c_stride);
    case 1: return dot_tile<1, C>(a, a_stride, b, k, c, c_stride);
    default: return;
  }
}

// c[r, j] for j in [0, count). k must be a multiple of 16.
template <class T>
static inline void dot_rows(const float* a, size_t a_stride, size_t rows, const T* const* b, size_t count, size_t k,
                            float* c, size_t c_stride) {
  size_t j = 0;
  for (; j + kDotColumns <= count; j += kDotColumns)
    dot_columns<kDotColumns>(a, a_stride, rows, b + j, k, c + j, c_stride);
  for (; j < count; ++j) dot_columns<1>(a, a_stride, rows, b + j, k, c + j, c_stride);
}

// B of a gemm: a dense matrix, or rows at arbitrary addresses (cache rows of keys).
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
YOUTU_INLINE void gemm_tile(const float* a, size_t a_stride, const B& b, size_t n, size_t k, float* c,
                            size_t c_stride) {
  V s[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) s[r][j] = load(c + r * c_stride + n + j * kWidth);
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
static inline void gemm_columns(const float* a, size_t a_stride, size_t rows, const B& b, size_t n, size_t k, float* c,
                                size_t c_stride) {
  for (; rows >= kTileRowsAtOnce; rows -= kTileRowsAtOnce) {
    gemm_tile<kTileRowsAtOnce, N>(a, a_stride, b, n, k, c, c_stride);
    a += kTileRowsAtOnce * a_stride;
    c += kTileRowsAtOnce * c_stride;
  }
  switch (rows) {
    case 5: return gemm_tile<5, N>(a, a_stride, b, n, k, c, c_stride);
    case 4: return gemm_tile<4, N>(a, a_stride, b, n, k, c, c_stride);
    case 3: return gemm_tile<3, N>(a, a_stride, b, n, k, c, c_stride);
    case 2: return gemm_tile<2, N>(a, a_stride, b, n, k, c, c_stride);
    case 1: return gemm_tile<1, N>(a, a_stride, b, n, k, c, c_stride);
    default: return;
  }
}

// C[rows, 0..columns) += A . B. columns must be a multiple of kWidth.
template <class B>
static inline void gemm(const float* a, size_t a_stride, size_t rows, const B& b, size_t columns, size_t k, float* c,
                        size_t c_stride) {
  size_t n = 0;
  for (; n + kTileVectors * kWidth <= columns; n += kTileVectors * kWidth)
    gemm_columns<kTileVectors>(a, a_stride, rows, b, n, k, c, c_stride);
  for (; n < columns; n += kWidth) gemm_columns<1>(a, a_stride, rows, b, n, k, c, c_stride);
}

}  // namespace youtu::YOUTU_ISA
