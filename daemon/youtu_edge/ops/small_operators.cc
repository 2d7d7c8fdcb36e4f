#include "small_operators.h"

#include <algorithm>

#include "kernels.h"
#include "scratch.h"

namespace youtu {
namespace {

// Elements of work that one task should have at least: some ten microseconds.
constexpr size_t kTaskMultiplyAdds = 200'000, kTaskActivations = 16'384;

ScratchPool& scratch() {
  static ScratchPool pool;
  return pool;
}

size_t divide_up(size_t n, size_t step) { return (n + step - 1) / step; }

// How many rows make a task worth starting.
size_t rows_per_task(size_t rows, size_t work_per_row, size_t smallest_task) {
  return std::min(std::max<size_t>(1, rows), divide_up(smallest_task, std::max<size_t>(1, work_per_row)));
}

}  // namespace

BlockMinAdd::BlockMinAdd(const Attributes& attributes) : block(attributes.integer("block_size", 32)) {
  if (block < 1) refuse("block_size must be at least 1");
}

void BlockMinAdd::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2), y = context.input(1, "y", {kFloat}, 2);
  const Tensor mins = context.input(2, "mins", {kFloat16}, 2);
  if (x.shape[1] % block != 0)
    refuse("x has shape " + describe_shape(x) + ": its width is not a multiple of block_size " + std::to_string(block));
  const size_t rows = x.shape[0], blocks = x.shape[1] / block, columns = y.shape[1];
  if (mins.shape[0] != int64_t(blocks) || mins.shape[1] != y.shape[1] || y.shape[0] != x.shape[0])
    refuse("x " + describe_shape(x) + ", y " + describe_shape(y) + " and mins " + describe_shape(mins) +
           " do not fit: expected x [T, K], y [T, N], mins [K / block_size, N]");
  float* output = context.output(0, {y.shape[0], y.shape[1]});
  if (rows == 0 || columns == 0) return;

  const Kernels& kernel = kernels();
  ScratchPool::Lease sums(scratch(), rows * blocks);
  kernel.block_sums(x.as<float>(), sums.data(), rows, blocks, block);
  // Columns are cut before rows, since a column range reads its minima once for all its rows.
  const size_t row_step = std::min<size_t>(rows, 32);
  size_t column_step = divide_up(kTaskMultiplyAdds, row_step * std::max<size_t>(1, blocks));
  column_step = std::min(columns, divide_up(column_step, 64) * 64);
  const size_t column_tasks = divide_up(columns, column_step);
  context.parallel_for(divide_up(rows, row_step) * column_tasks, [&](size_t task) {
    const size_t row = task / column_tasks * row_step, begin = task % column_tasks * column_step;
    kernel.block_min_add(sums.data() + row * blocks, mins.as<uint16_t>(), y.as<float>() + row * columns,
                         output + row * columns, std::min(row_step, rows - row), blocks, columns, begin,
                         std::min(columns, begin + column_step));
  });
}

void SwiGLU::compute(const Context& context) {
  const Tensor input = context.input(0, "input", {kFloat}, 2);
  if (input.shape[1] % 2 != 0) refuse("input has shape " + describe_shape(input) + ", expected an even width [gate | up]");
  const size_t rows = input.shape[0], width = input.shape[1] / 2;
  float* output = context.output(0, {input.shape[0], input.shape[1] / 2});
  const size_t step = rows_per_task(rows, width, kTaskActivations);
  context.parallel_for(divide_up(rows, step), [&](size_t task) {
    const size_t row = task * step;
    kernels().swiglu(input.as<float>() + row * 2 * width, output + row * width, std::min(step, rows - row), width);
  });
}

HeadwiseMatMul::HeadwiseMatMul(const Attributes& attributes) : block(attributes.integer("block_size", 0)) {
  if (block < 0 || block % 16 != 0) refuse("block_size must be 0 or a multiple of 16");
}

void HeadwiseMatMul::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2), weight = context.input(1, "weight", {kInt8}, 3);
  const size_t heads = weight.shape[0], n = weight.shape[1], k = weight.shape[2];
  const size_t width = block ? size_t(block) : k;
  if (k == 0 || k % 16 != 0 || k % width != 0)
    refuse("weight has shape " + describe_shape(weight) + ": its last dimension must be a multiple of 16 and of block_size");
  if (x.shape[1] != int64_t(heads * k))
    refuse("x has shape " + describe_shape(x) + ", expected [T, " + std::to_string(heads * k) + "]");
  const Tensor scales = context.input(2, "scales", {kFloat}, block ? 3 : 2);
  if (scales.shape[0] != weight.shape[0] || scales.shape[1] != weight.shape[1] ||
      (block && scales.shape[2] != int64_t(k / width)))
    refuse("scales " + describe_shape(scales) + " do not fit weight " + describe_shape(weight) +
           ": expected [heads, n] or, with block_size, [heads, n, k / block_size]");
  const size_t rows = x.shape[0];
  float* output = context.output(0, {x.shape[0], int64_t(heads * n)});
  if (rows == 0 || n == 0) return;

  // Tasks are heads, cut along n for many rows.
  const size_t step = std::min(n, divide_up(divide_up(kTaskMultiplyAdds, rows * k), 64) * 64);
  const size_t per_head = divide_up(n, step), tasks = heads * per_head;
  const size_t heads_per_task = per_head > 1 ? 1 : divide_up(kTaskMultiplyAdds / 2, rows * n * k);
  context.parallel_for(divide_up(tasks, heads_per_task), [&](size_t group) {
    ScratchPool::Lease tile(scratch(), k * 64);
    for (size_t task = group * heads_per_task; task < std::min(tasks, (group + 1) * heads_per_task); ++task) {
      const size_t head = task / per_head, begin = task % per_head * step;
      kernels().headwise(x.as<float>() + head * k, heads * k, weight.as<int8_t>() + head * n * k,
                         scales.as<float>() + head * n * (k / width), output + head * n, heads * n, rows, k, width,
                         begin, std::min(n, begin + step), tile.data());
    }
  });
}

}  // namespace youtu
