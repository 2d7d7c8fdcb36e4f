#include "linear.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels.h"
#include "scratch.h"
#include "worker_pool.h"

namespace youtu {
namespace {

// A task lasts a few microseconds, about as long as this many products of one row, so little work is repeated when a thread
// loses its core. Weights are read from memory once for all rows, which costs as much as computing seven rows.
constexpr size_t kTaskProducts = 128 * 1024, kReadingAsRows = 7;
constexpr size_t kRowBytes = 256 * 1024;      // activations that fit into the L2 cache
constexpr size_t kQuantiseValues = 32 * 1024; // per quantising task
constexpr size_t kLine = 64;

ScratchPool& scratch() {
  static ScratchPool pool;
  return pool;
}

size_t padded(size_t bytes) { return divide_up(bytes, kLine) * kLine; }

// Activations of eight bits: | codes of all rows | scales | minus the sums of the codes | sums of the values |
class Quantised {
 public:
  Quantised(const Context& context, const Kernels& kernels, const float* x, size_t rows, size_t width, size_t block)
      : blocks_(width / block),
        lease_(scratch(), (padded(rows * width) + 3 * padded(rows * blocks_ * 4)) / sizeof(float)) {
    const size_t part = padded(rows * blocks_ * 4);
    codes = reinterpret_cast<int8_t*>(lease_.data());
    scales = reinterpret_cast<float*>(codes + padded(rows * width));
    negative_sums = scales + part / 4;
    totals = negative_sums + part / 4;
    const size_t step = std::max<size_t>(1, kQuantiseValues / width / kRowGroup) * kRowGroup;
    context.parallel_for(divide_up(rows, step), [&](size_t task) {
      for (size_t row = task * step; row < std::min(rows, (task + 1) * step); row += kRowGroup)
        kernels.quantise(x + row * width, std::min(kRowGroup, rows - row), width, block, codes + row * width,
                         scales + row * blocks_, negative_sums + row * blocks_, totals + row * blocks_);
    });
  }

  int8_t* codes;
  float *scales, *negative_sums, *totals;

 private:
  size_t blocks_;
  ScratchPool::Lease lease_;
};

// One call, and a copy of everything that a late worker reads; y is written only in commit().
class LinearWork : public RepeatableWork {
 public:
  LinearWork(const Context& context, const QuantisedMatrix& matrix, const float* x, size_t rows, float* y)
      : kernels_(kernels()),
        activations_(context, kernels_, x, rows, matrix.heads * matrix.k, matrix.block),
        rows_(rows),
        tiles_(matrix.heads * matrix.tiles_per_head),
        row_step_(std::min(rows, std::max(kRowGroup, kRowBytes / (matrix.heads * matrix.k) / kRowGroup * kRowGroup))),
        tile_step_(tile_step(matrix.k, row_step_)),
        columns_(matrix.rows),
        y_(y),
        y_stride_(matrix.heads * matrix.rows) {
    call_.bits = matrix.bits;
    call_.block = matrix.block;
    call_.k = matrix.k;
    call_.heads = matrix.heads;
    call_.tiles_per_head = matrix.tiles_per_head;
    call_.codes = matrix.codes;
    call_.scales = matrix.scales;
    call_.zero_points = matrix.zero_points;
    call_.minimums = matrix.minimums;
    call_.activations = activations_.codes;
    call_.activation_scales = activations_.scales;
    call_.activation_negative_sums = activations_.negative_sums;
    call_.activation_totals = activations_.totals;
  }

  size_t tasks() const override { return divide_up(tiles_, tile_step_) * divide_up(rows_, row_step_); }

  const float* compute(size_t task) const override {
    thread_local std::vector<float> results;
    const TileRange range = range_of(task);
    const size_t count = (range.row_end - range.row_begin) * (range.tile_end - range.tile_begin) * kTileRows;
    if (results.size() < count) results.resize(count);
    kernels_.multiply(call_, range, results.data());
    return results.data();
  }

  void commit(size_t task, const float* computed) const override {
    const TileRange range = range_of(task);
    const size_t stride = (range.tile_end - range.tile_begin) * kTileRows;
    for (size_t tile = range.tile_begin; tile < range.tile_end; ++tile, computed += kTileRows) {
      const size_t column = tile % call_.tiles_per_head * kTileRows, head = tile / call_.tiles_per_head;
      const size_t count = std::min(kTileRows, columns_ - column);
      float* target = y_ + range.row_begin * y_stride_ + head * columns_ + column;
      const float* source = computed;
      for (size_t row = range.row_begin; row < range.row_end; ++row, target += y_stride_, source += stride) {
        if (count == kTileRows)
          std::memcpy(target, source, kTileRows * sizeof(float));  // a compile-time size
        else
          std::memcpy(target, source, count * sizeof(float));
      }
    }
  }

 private:
  static size_t tile_step(size_t k, size_t rows) {
    const size_t products = kTileRows * k * (rows + kReadingAsRows) / (1 + kReadingAsRows);
    return std::max<size_t>(1, kTaskProducts / products);
  }

  // Tasks that share weights are adjacent.
  TileRange range_of(size_t task) const {
    const size_t row_tasks = divide_up(rows_, row_step_);
    const size_t tile = task / row_tasks * tile_step_, row = task % row_tasks * row_step_;
    return {tile, std::min(tiles_, tile + tile_step_), row, std::min(rows_, row + row_step_)};
  }

  const Kernels& kernels_;
  const Quantised activations_;
  const size_t rows_, tiles_, row_step_, tile_step_, columns_;
  float* const y_;
  const size_t y_stride_;
  LinearCall call_{};
};

}  // namespace

void Linear::compute(const Context& context) {
  const Tensor x = context.input(0, "x", {kFloat}, 2);
  const size_t width = matrix.heads * matrix.k;
  if (x.shape[1] != int64_t(width))
    refuse("x has shape " + describe_shape(x) + ", expected [T, " + std::to_string(width) + "]");
  float* y = context.output(0, {x.shape[0], int64_t(matrix.heads * matrix.rows)});
  if (x.shape[0] == 0) return;
  if (!run_repeatable(std::make_shared<LinearWork>(context, matrix, x.as<float>(), x.shape[0], y)))
    throw std::runtime_error(kOutOfScratch);
}

}  // namespace youtu
