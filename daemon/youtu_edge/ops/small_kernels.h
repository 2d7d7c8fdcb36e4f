// SwiGLU, BlockMinAdd and HeadwiseMatMul.
#pragma once

#include "gemm.h"

namespace youtu::YOUTU_ISA {

static void swiglu(const float* input, float* output, size_t rows, size_t width) {
  for (size_t row = 0; row < rows; ++row, input += 2 * width, output += width) {
    size_t i = 0;
    for (; i + kWidth <= width; i += kWidth) {
      const V gate = load(input + i);
      store(output + i, gate / (splat(1.0f) + exp(splat(0.0f) - gate)) * load(input + width + i));
    }
    if (i < width) {
      float gates[kWidth] = {}, sigmoids[kWidth];
      for (size_t j = i; j < width; ++j) gates[j - i] = input[j];
      store(sigmoids, splat(1.0f) / (splat(1.0f) + exp(splat(0.0f) - load(gates))));
      for (; i < width; ++i) output[i] = input[i] * sigmoids[i % kWidth] * input[width + i];
    }
  }
}

static void block_sums(const float* x, float* sums, size_t rows, size_t blocks, size_t block) {
  for (size_t b = 0; b < rows * blocks; ++b, x += block) {
    V total = splat(0.0f);
    size_t i = 0;
    for (; i + kWidth <= block; i += kWidth) total = total + load(x + i);
    float rest = 0.0f;
    for (; i < block; ++i) rest += x[i];
    sums[b] = sum(total) + rest;
  }
}

static void block_min_add(const float* sums, const uint16_t* mins, const float* y, float* output, size_t rows,
                          size_t blocks, size_t columns, size_t begin, size_t end) {
  const Dense<half> b{reinterpret_cast<const half*>(mins), columns};
  const size_t whole = begin + (end - begin) / kWidth * kWidth;
  gemm(sums, blocks, rows, b, begin, whole, blocks, y, output, columns);
  for (size_t row = 0; row < rows; ++row)
    for (size_t n = whole; n < end; ++n) {
      float total = y[row * columns + n];
      for (size_t k = 0; k < blocks; ++k) total += sums[row * blocks + k] * widen(*b.at(k, n));
      output[row * columns + n] = total;
    }
}

// Few rows: the weights stay int8 in memory and are read once for all rows. `chunk` rows keep the sums on the stack.
static void headwise_dot(const float* x, size_t x_stride, const int8_t* weight, const float* scales, float* output,
                         size_t output_stride, size_t rows, size_t k, size_t block, size_t begin, size_t end) {
  constexpr size_t kChunk = 8;
  for (size_t n = begin; n < end; n += 4) {
    const size_t count = end - n < 4 ? end - n : 4;
    for (size_t row = 0; row < rows; row += kChunk) {
      const size_t some = rows - row < kChunk ? rows - row : kChunk;
      float total[kChunk][4] = {}, part[kChunk][4];
      for (size_t i = 0; i < k; i += block) {
        const int8_t* w[4];
        for (size_t j = 0; j < 4; ++j) w[j] = weight + (n + (j < count ? j : count - 1)) * k + i;
        dot_rows(x + row * x_stride + i, x_stride, some, w, block, part[0], 4);
        for (size_t j = 0; j < count; ++j) {
          const float scale = scales[(n + j) * (k / block) + i / block];
          for (size_t r = 0; r < some; ++r) total[r][j] += part[r][j] * scale;
        }
      }
      for (size_t r = 0; r < some; ++r)
        for (size_t j = 0; j < count; ++j) output[(row + r) * output_stride + n + j] = total[r][j];
    }
  }
}

static void headwise(const float* x, size_t x_stride, const int8_t* weight, const float* scales, float* output,
                     size_t output_stride, size_t rows, size_t k, size_t block, size_t begin, size_t end,
                     float* scratch) {
  constexpr size_t kColumns = 64;
  const size_t blocks = k / block;
  const bool dense = rows >= 12 && (end - begin) % kWidth == 0;
  if (!dense) return headwise_dot(x, x_stride, weight, scales, output, output_stride, rows, k, block, begin, end);
  // Many rows: 64 columns at a time become a [k, 64] float tile, then a plain product.
  for (size_t n = begin; n < end; n += kColumns) {
    const size_t count = end - n < kColumns ? end - n : kColumns;
    const int8_t* w[kColumns];
    for (size_t j = 0; j < count; ++j) w[j] = weight + (n + j) * k;
    transpose_rows(w, count, k, scratch, count);
    for (size_t b = 0; b < blocks; ++b) {
      float scale[kColumns];
      for (size_t j = 0; j < count; ++j) scale[j] = scales[(n + j) * blocks + b];
      for (size_t i = b * block; i < (b + 1) * block; ++i)
        for (size_t j = 0; j < count; j += kWidth)
          store(scratch + i * count + j, load(scratch + i * count + j) * load(scale + j));
    }
    gemm(x, x_stride, rows, Dense<float>{scratch, count}, 0, count, k, nullptr, output + n, output_stride);
  }
}

}  // namespace youtu::YOUTU_ISA
