#include "embedding.h"

#include <algorithm>
#include <cmath>

#include "kernels.h"

namespace youtu {
namespace {

constexpr size_t kTaskValues = 16'384;

float widen(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;  // finite: checked when the session was made
  const float magnitude = exponent ? std::ldexp(float(1024 + fraction), exponent - 25) : std::ldexp(float(fraction), -24);
  return half & 0x8000 ? -magnitude : magnitude;
}

void copy_row(const QuantisedMatrix& m, size_t row, float* output) {
  const size_t tile = row / kTileRows, lane = row % kTileRows, blocks = m.k / m.block;
  const uint8_t* codes = m.codes + tile * m.k * m.bits / 32 * kTileRows * 4 + lane * 4;
  for (size_t b = 0; b < blocks; ++b) {
    const size_t at = (tile * blocks + b) * kTileRows + lane;
    const float scale = widen(m.scales[at]);
    const float minimum = m.minimums ? widen(m.minimums[at]) : 0.0f;
    const int zero = m.minimums ? 0 : m.zero_points ? m.zero_points[at] : 1 << (m.bits - 1);
    for (size_t k = b * m.block; k < (b + 1) * m.block; ++k) {
      const uint8_t byte = m.bits == 4 ? codes[k / 8 * kTileRows * 4 + k % 4] : codes[k / 4 * kTileRows * 4 + k % 4];
      const int code = m.bits == 8 ? byte : k % 8 < 4 ? byte & 15 : byte >> 4;
      output[k] = std::fma(scale, float(code - zero), minimum);  // exact without a minimum
    }
  }
}

}  // namespace

void Embedding::compute(const Context& context) {
  const Tensor ids = context.input(0, "ids", {kInt64}, 1);
  const int64_t count = ids.shape[0];
  matrix.check_ids(ids);
  float* output = context.output(0, {count, int64_t(matrix.k)});
  const size_t step = divide_up(kTaskValues, matrix.k);
  context.parallel_for(divide_up(count, step), [&](size_t task) {
    for (size_t t = task * step; t < std::min<size_t>(count, (task + 1) * step); ++t)
      copy_row(matrix, ids.as<int64_t>()[t], output + t * matrix.k);
  });
}

}  // namespace youtu
