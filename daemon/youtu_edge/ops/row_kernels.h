// SwiGLU, GeGLU and RmsNorm for one row.
#pragma once

#include "simd.h"

namespace youtu::YOUTU_ISA {

// [gate | up] -> gate / (1 + exp(-steepness(gate))) * up: both activations are of this form.
template <class Steepness>
static void gated_rows(const float* input, float* output, size_t rows, size_t width, const Steepness& steepness) {
  const auto gated = [&](V gate, V up) { return gate / (splat(1.0f) + exp(splat(0.0f) - steepness(gate))) * up; };
  for (size_t row = 0; row < rows; ++row, input += 2 * width, output += width) {
    size_t i = 0;
    for (; i + kWidth <= width; i += kWidth) store(output + i, gated(load(input + i), load(input + width + i)));
    if (i == width) continue;
    float gates[kWidth] = {}, ups[kWidth] = {}, last[kWidth];
    std::memcpy(gates, input + i, (width - i) * sizeof(float));
    std::memcpy(ups, input + width + i, (width - i) * sizeof(float));
    store(last, gated(load(gates), load(ups)));
    std::memcpy(output + i, last, (width - i) * sizeof(float));
  }
}

static void swiglu(const float* input, float* output, size_t rows, size_t width) {
  gated_rows(input, output, rows, width, [](V gate) { return gate; });
}

// GELU in its tanh form (Hendrycks and Gimpel 2016): x / 2 (1 + tanh y) = x / (1 + exp(-2 y)) with
// 2 y = 2 sqrt(2 / pi) (x + 0.044715 x^3).
static void geglu(const float* input, float* output, size_t rows, size_t width) {
  gated_rows(input, output, rows, width,
             [](V gate) { return gate * fma(gate * gate, splat(0.0713548163f), splat(1.5957691216f)); });
}

// Squares are accumulated in sixteen lanes, value i in lane i % 16.
static float sum_of_squares(const float* x, size_t width) {
  Sixteen sums = sixteen_zeros();
  const auto add_squares = [&](const float* some) {
    for (int j = 0; j < 16 / kWidth; ++j) sums.v[j] = fma(load(some + j * kWidth), load(some + j * kWidth), sums.v[j]);
  };
  size_t i = 0;
  for (; i + 16 <= width; i += 16) add_squares(x + i);
  if (i < width) {
    float last[16] = {};
    std::memcpy(last, x + i, (width - i) * sizeof(float));
    add_squares(last);
  }
  return sum(sums);
}

// x / root mean square * gain (Zhang and Sennrich 2019). With `residual`, x + residual takes the place of x and is stored
// in `total`.
static void rms_norm(const float* x, const float* residual, const float* gain, float epsilon, float* total, float* output,
                     size_t rows, size_t width) {
  for (size_t row = 0; row < rows; ++row, x += width, output += width) {
    const float* values = x;
    if (residual != nullptr) {
      for (size_t i = 0; i < width; ++i) total[i] = x[i] + residual[i];
      values = total;
      residual += width;
      total += width;
    }
    const float factor = 1.0f / __builtin_sqrtf(sum_of_squares(values, width) / float(width) + epsilon);
    for (size_t i = 0; i < width; ++i) output[i] = values[i] * factor * gain[i];
  }
}

}  // namespace youtu::YOUTU_ISA
