#include "row_operators.h"

#include <algorithm>

#include "kernels.h"
#include "scratch.h"

namespace youtu {
namespace {

constexpr size_t kTaskValues = 16'384;  // about 10 µs

template <class Body>
void for_rows(const Context& context, size_t rows, size_t width, const Body& body) {
  const size_t step = std::min(std::max<size_t>(1, rows), divide_up(kTaskValues, std::max<size_t>(1, width)));
  context.parallel_for(divide_up(rows, step), [&](size_t task) {
    body(task * step, std::min(step, rows - task * step));
  });
}

void check_width(const Tensor& x, const char* name, size_t width) {
  if (x.shape[1] != int64_t(width))
    refuse(std::string(name) + " has shape " + describe_shape(x) + ", expected [T, " + std::to_string(width) + "]");
}

void compute_gated(const Context& context, decltype(Kernels::swiglu) kernel) {
  const Tensor input = context.input(0, "input", {kFloat}, 2);
  if (input.shape[1] % 2 != 0) refuse("input has shape " + describe_shape(input) + ", expected an even width [gate | up]");
  const size_t width = input.shape[1] / 2;
  float* output = context.output(0, {input.shape[0], input.shape[1] / 2});
  for_rows(context, input.shape[0], width, [&](size_t row, size_t count) {
    kernel(input.as<float>() + row * 2 * width, output + row * width, count, width);
  });
}

}  // namespace

void SwiGLU::compute(const Context& context) { compute_gated(context, kernels().swiglu); }

void GeGLU::compute(const Context& context) { compute_gated(context, kernels().geglu); }

void RmsNorm::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2);
  const size_t width = weights.width;
  check_width(x, "x", width);
  float* output = context.output(0, {x.shape[0], x.shape[1]});
  for_rows(context, x.shape[0], width, [&](size_t row, size_t count) {
    kernels().rms_norm(x.as<float>() + row * width, nullptr, weights.gain, weights.epsilon, nullptr, output + row * width,
                       count, width);
  });
}

void AddRmsNorm::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2), residual = context.input(1, "residual", {kFloat}, 2);
  const size_t width = weights.width;
  check_width(x, "x", width);
  if (residual.shape != x.shape) refuse("x " + describe_shape(x) + " and residual " + describe_shape(residual) + " differ");
  float* output = context.output(0, {x.shape[0], x.shape[1]});
  float* total = context.output(1, {x.shape[0], x.shape[1]});
  for_rows(context, x.shape[0], width, [&](size_t row, size_t count) {
    const size_t at = row * width;
    kernels().rms_norm(x.as<float>() + at, residual.as<float>() + at, weights.gain, weights.epsilon, total + at, output + at,
                       count, width);
  });
}

}  // namespace youtu
