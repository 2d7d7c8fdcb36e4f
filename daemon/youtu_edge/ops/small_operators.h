// BlockMinAdd, SwiGLU and HeadwiseMatMul: the arithmetic around the matrix products.
#pragma once

#include "operator.h"

namespace youtu {

// y + blocksum(x) @ mins: adds the minima of blocks w = d * q + m to a MatMulNBits that computed d * q.
struct BlockMinAdd {
  static constexpr const char* kName = "BlockMinAdd";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kFloat, kRequired}, {kFloat16, kRequired}};
  static constexpr int kInplaceInput = 1;
  explicit BlockMinAdd(const Attributes&);
  void compute(const Context& context);
  int64_t block;
};

// [gate | up] -> silu(gate) * up
struct SwiGLU {
  static constexpr const char* kName = "SwiGLU";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}};
  static constexpr int kInplaceInput = -1;
  explicit SwiGLU(const Attributes&) {}
  void compute(const Context& context);
};

// For each head h: y_h = x_h @ dequantised(W_h)^T; weights int8 [heads, n, k], scales per block along k.
struct HeadwiseMatMul {
  static constexpr const char* kName = "HeadwiseMatMul";
  static constexpr InputSpec kInputs[] = {{kFloat, kRequired}, {kInt8, kRequired}, {kFloat, kRequired}};
  static constexpr int kInplaceInput = -1;
  explicit HeadwiseMatMul(const Attributes&);
  void compute(const Context& context);
  int64_t block;  // 0: one scale per row
};

}  // namespace youtu
