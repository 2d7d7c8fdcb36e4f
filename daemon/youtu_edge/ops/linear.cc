#include "linear.h"

#include <algorithm>

#include "kernels.h"
#include "scratch.h"

namespace youtu {
namespace {

// A thread that has lost its core delays the others by the task that it holds, so tasks last a few microseconds: about as
// long as one row takes for this many products. Weights come from memory once for all rows: seven rows cost as much as that.
constexpr size_t kTaskProducts = 128 * 1024, kReadingAsRows = 7;
constexpr size_t kRowBytes = 256 * 1024;      // activations that stay in a second-level cache
constexpr size_t kQuantiseValues = 32 * 1024; // quantised by one task
constexpr size_t kLine = 64;

ScratchPool& scratch() {
  static ScratchPool pool;
  return pool;
}

size_t padded(size_t bytes) { return divide_up(bytes, kLine) * kLine; }

// Activations of eight bits: | codes of all rows | scales | sums of the codes | sums of the values |
class Quantised {
 public:
  Quantised(const Context& context, const float* x, size_t rows, size_t width, size_t block)
      : blocks_(width / block),
        // An odd number of cache lines, so that the rows of one block do not share a set of the cache.
        stride_((padded(width) / kLine | 1) * kLine),
        lease_(scratch(), (rows * stride_ + 3 * padded(rows * blocks_ * 4)) / sizeof(float)) {
    codes = reinterpret_cast<int8_t*>(lease_.data());
    scales = reinterpret_cast<float*>(codes + rows * stride_);
    sums = reinterpret_cast<int32_t*>(codes + rows * stride_ + padded(rows * blocks_ * 4));
    totals = reinterpret_cast<float*>(codes + rows * stride_ + 2 * padded(rows * blocks_ * 4));
    const size_t step = std::max<size_t>(1, kQuantiseValues / width);
    context.parallel_for(divide_up(rows, step), [&](size_t task) {
      for (size_t row = task * step; row < std::min(rows, (task + 1) * step); ++row)
        kernels().quantise(x + row * width, width, block, codes + row * stride_, scales + row * blocks_, sums + row * blocks_,
                           totals + row * blocks_);
    });
  }
  size_t stride() const { return stride_; }

  int8_t* codes;
  float* scales;
  int32_t* sums;
  float* totals;

 private:
  size_t blocks_, stride_;
  ScratchPool::Lease lease_;
};

}  // namespace

void Linear::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2);
  const size_t rows = x.shape[0], width = matrix.heads * matrix.k;
  if (x.shape[1] != int64_t(width))
    refuse("x has shape " + describe_shape(x) + ", expected [T, " + std::to_string(width) + "]");
  float* y = context.output(0, {x.shape[0], int64_t(matrix.heads * matrix.rows)});
  if (rows == 0) return;

  const Quantised activations(context, x.as<float>(), rows, width, matrix.block);
  LinearCall call{};
  call.bits = matrix.bits;
  call.block = matrix.block;
  call.k = matrix.k;
  call.columns = matrix.rows;
  call.heads = matrix.heads;
  call.tiles_per_head = matrix.tiles_per_head;
  call.codes = matrix.codes;
  call.scales = matrix.scales;
  call.zero_points = matrix.zero_points;
  call.minimums = matrix.minimums;
  call.activations = activations.codes;
  call.activation_stride = activations.stride();
  call.activation_scales = activations.scales;
  call.activation_sums = activations.sums;
  call.activation_totals = activations.totals;
  call.y = y;
  call.y_stride = matrix.heads * matrix.rows;

  const size_t row_step = std::min(rows, std::max<size_t>(8, kRowBytes / width / 8 * 8));
  const size_t tiles = matrix.heads * matrix.tiles_per_head, row_tasks = divide_up(rows, row_step);
  const size_t tile_products = kTileRows * matrix.k * (std::min(rows, row_step) + kReadingAsRows) / (1 + kReadingAsRows);
  const size_t tile_step = std::max<size_t>(1, kTaskProducts / tile_products);
  // Tasks that share weights are neighbours.
  context.parallel_for(divide_up(tiles, tile_step) * row_tasks, [&](size_t task) {
    const size_t tile = task / row_tasks * tile_step, row = task % row_tasks * row_step;
    kernels().multiply(call, tile, std::min(tiles, tile + tile_step), row, std::min(rows, row + row_step));
  });
}

}  // namespace youtu
