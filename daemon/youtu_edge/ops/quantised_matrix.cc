#include "quantised_matrix.h"

#include "kernels.h"

namespace youtu {
namespace {

std::string shape_of(std::initializer_list<size_t> sizes) {
  std::string text = "[";
  for (size_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

int64_t positive(const Node& node, const char* name, int64_t fallback) {
  const int64_t value = fallback ? node.integer(name, fallback) : node.required_integer(name);
  if (value < 1 || value > INT32_MAX) refuse(std::string("attribute ") + name + " is " + std::to_string(value));
  return value;
}

void check_shape(const Tensor& tensor, std::initializer_list<size_t> expected) {
  bool fits = tensor.rank == expected.size();
  size_t i = 0;
  for (size_t size : expected) fits = fits && tensor.shape[i++] == int64_t(size);
  if (!fits) refuse(tensor.name + " has shape " + describe_shape(tensor) + ", expected " + shape_of(expected));
}

void check_finite(const Tensor& tensor, const char* what) {
  const uint16_t* values = tensor.as<uint16_t>();
  const size_t count = size_t(tensor.shape[0]) * tensor.shape[1] * tensor.shape[2];
  size_t wrong = 0;
  for (size_t i = 0; i < count; ++i) wrong += (values[i] & 0x7c00) == 0x7c00;
  if (wrong) refuse(tensor.name + ": " + std::to_string(wrong) + " " + what + " are NaN or infinite; export the model again");
}

}  // namespace

QuantisedMatrix::QuantisedMatrix(const Node& node, size_t first)
    : rows(positive(node, "N", 0)),
      bits(int(node.required_integer("bits"))),
      block(positive(node, "block_size", 0)),
      heads(positive(node, "heads", 1)),
      tiles_per_head(divide_up(rows, kTileRows)) {
  if (bits != 4 && bits != 8) refuse("bits is " + std::to_string(bits) + ", expected 4 or 8");
  if (block < 16 || block > 256 || (block & (block - 1)) != 0)
    refuse("block_size is " + std::to_string(block) + ", expected 16, 32, 64, 128 or 256");
  const Tensor code = node.constant(first, "codes", kUint8, 4);
  const size_t tiles = heads * tiles_per_head, groups = code.shape[1];
  k = groups * 32 / bits;
  if (k == 0 || k % block != 0)
    refuse(code.name + " has shape " + describe_shape(code) + ": rows of " + std::to_string(k) +
           " values do not divide into blocks of " + std::to_string(block));
  check_shape(code, {tiles, groups, kTileRows, 4});
  const Tensor scale = node.constant(first + 1, "scales", kFloat16, 3);
  check_shape(scale, {tiles, k / block, kTileRows});
  check_finite(scale, "scales");
  codes = code.as<uint8_t>();
  scales = scale.as<uint16_t>();
  zero_points = nullptr;
  minimums = nullptr;
  if (node.has_input(first + 2)) {
    const Tensor zero = node.constant(first + 2, "zero_points", kUint8, 3);
    check_shape(zero, {tiles, k / block, kTileRows});
    zero_points = zero.as<uint8_t>();
  }
  if (node.has_input(first + 3)) {
    const Tensor minimum = node.constant(first + 3, "minimums", kFloat16, 3);
    if (zero_points != nullptr) refuse(minimum.name + ": zero_points and minimums exclude each other");
    check_shape(minimum, {tiles, k / block, kTileRows});
    check_finite(minimum, "minimums");
    minimums = minimum.as<uint16_t>();
  }
}

void QuantisedMatrix::check_ids(const Tensor& ids) const {
  for (int64_t t = 0; t < ids.shape[0]; ++t) {
    const int64_t id = ids.as<int64_t>()[t];
    if (id < 0 || id >= int64_t(rows))
      refuse("id " + std::to_string(id) + " of token " + std::to_string(t) + " is not in the table of " +
             std::to_string(rows));
  }
}

}  // namespace youtu
