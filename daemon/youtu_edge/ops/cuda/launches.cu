// The C interface: checks sizes, cuts the work into thread blocks, launches.
#include "device_calls.h"
#include "linear_few.h"
#include "linear_many.h"
#include "quantise.h"
#include "row_kernels.h"

namespace youtu::cuda {
namespace {

constexpr int kInvalidValue = 1;  // cudaErrorInvalidValue
constexpr int64_t kMostBlocks = 2147483647, kMostBlocksY = 65535, kFewRows = 8;
constexpr size_t kMostShared = 48 * 1024;  // without asking for more

bool aligned(const void* p, size_t bytes) { return p != nullptr && reinterpret_cast<uintptr_t>(p) % bytes == 0; }

bool block_fits(int block, int64_t width) {
  return block >= 16 && block <= 256 && (block & (block - 1)) == 0 && width > 0 && width % block == 0;
}

bool fits(const Matrix& m) {
  return (m.bits == 4 || m.bits == 8) && block_fits(m.block, m.k) && m.rows > 0 && m.heads > 0 && m.k <= 1 << 24 &&
         int64_t(m.heads) * int64_t(divide_up(size_t(m.rows), kTileRows)) <= kMostBlocks / kTileRows &&
         aligned(m.codes, 16) && aligned(m.scales, 2) && (m.zero_points == nullptr || m.minimums == nullptr);
}

bool fits(const Activations& a) {
  return aligned(a.codes, 16) && aligned(a.scales, 4) && aligned(a.negative_sums, 4) && aligned(a.totals, 4);
}

bool gated_fits(const float* gate_up, const float* output, int64_t rows, int64_t width) {
  return rows >= 0 && width >= 1 && rows <= kMostBlocks / width * kRowThreads && aligned(gate_up, 4) && aligned(output, 4);
}

template <int Bits, int T>
int launch_few(const FewCall& call, void* stream) {
  const unsigned tiles = unsigned(call.m.heads) * unsigned(tiles_per_head(call.m));
  const size_t shared = shared_few<T>(call.m);
  if (shared > kMostShared) return kInvalidValue;
  YOUTU_LAUNCH((linear_few<Bits, T>), tiles, FewRows<T>::kThreads, shared, stream, call);
  return last_error();
}

template <int Bits>
int launch_few_bits(const FewCall& call, void* stream) {
  if (call.rows == 1) return launch_few<Bits, 1>(call, stream);
  if (call.rows == 2) return launch_few<Bits, 2>(call, stream);
  if (call.rows <= 4) return launch_few<Bits, 4>(call, stream);
  return launch_few<Bits, 8>(call, stream);
}

// Neighbouring thread blocks have the same tiles: what one has read from memory the others find in the cache.
template <int Bits, int N>
int launch_many(const ManyCall& call, void* stream) {
  constexpr int kTokens = N * kFragmentTokens;
  const int64_t quads = int64_t(divide_up(size_t(tiles_per_head(call.m)), kManyWarps)) * call.m.heads;
  const int64_t parts = int64_t(divide_up(size_t(call.rows), kTokens));
  if (quads > kMostBlocksY || parts > kMostBlocks) return kInvalidValue;
  const dim3 grid{unsigned(parts), unsigned(quads)};
  YOUTU_LAUNCH((linear_many<Bits, N>), grid, kManyThreads, shared_many(call.m, kTokens), stream, call);
  return last_error();
}

template <int Bits>
int launch_many_bits(const ManyCall& call, void* stream) {
  return call.rows <= 16 ? launch_many<Bits, 2>(call, stream) : launch_many<Bits, 8>(call, stream);
}

}  // namespace

#if defined(__CUDACC__)
int has_kernels() {
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, swiglu);
  cudaGetLastError();
  return int(error);
}
#endif

}  // namespace youtu::cuda

using namespace youtu::cuda;

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

YOUTU_EXPORT int32_t youtu_cuda_interface(void) { return YOUTU_CUDA_INTERFACE; }

YOUTU_EXPORT int32_t youtu_cuda_quantise(const float* x, int64_t rows, int64_t width, int32_t block,
                                         const YoutuActivations* activations, void* stream) {
  if (rows < 0 || !block_fits(block, width) || !aligned(x, 4) || !fits(*activations)) return kInvalidValue;
  if (rows == 0) return 0;
  const int64_t blocks = rows * (width / block), launched = int64_t(divide_up(size_t(blocks), kQuantiseThreads / kLanes));
  if (launched > kMostBlocks) return kInvalidValue;
  YOUTU_LAUNCH(quantise, unsigned(launched), kQuantiseThreads, 0, stream, x, blocks, block, *activations);
  return last_error();
}

YOUTU_EXPORT int32_t youtu_cuda_linear(const YoutuMatrix* matrix, const YoutuActivations* activations, int64_t rows,
                                       float* y, void* stream) {
  if (!fits(*matrix) || !fits(*activations) || rows < 0 || !aligned(y, 4)) return kInvalidValue;
  if (rows == 0) return 0;
  if (rows <= kFewRows) {
    const FewCall call{*matrix, *activations, rows, y};
    return matrix->bits == 4 ? launch_few_bits<4>(call, stream) : launch_few_bits<8>(call, stream);
  }
  const ManyCall call{*matrix, *activations, rows, y, chunk_of(*matrix)};
  return matrix->bits == 4 ? launch_many_bits<4>(call, stream) : launch_many_bits<8>(call, stream);
}

YOUTU_EXPORT int32_t youtu_cuda_embedding(const YoutuMatrix* matrix, const int64_t* ids, int64_t count, float* output,
                                          void* stream) {
  if (!fits(*matrix) || matrix->heads != 1 || count < 0 || count > kMostBlocks || !aligned(ids, 8) || !aligned(output, 4))
    return kInvalidValue;
  if (count == 0) return 0;
  YOUTU_LAUNCH(embedding, unsigned(count), kRowThreads, 0, stream, *matrix, ids, output);
  return last_error();
}

YOUTU_EXPORT int32_t youtu_cuda_rms_norm(const float* x, const float* residual, const float* gain, float epsilon,
                                         float* total, float* output, int64_t rows, int64_t width, void* stream) {
  const size_t shared = (4 + round_up(size_t(width > 0 ? width : 0), 16)) * sizeof(float);
  if (rows < 0 || rows > kMostBlocks || width < 1 || shared > kMostShared || !aligned(x, 4) || !aligned(gain, 4) ||
      !aligned(output, 4) || (residual != nullptr && !aligned(total, 4)))
    return kInvalidValue;
  if (rows == 0) return 0;
  YOUTU_LAUNCH(rms_norm, unsigned(rows), kRowThreads, shared, stream, x, residual, gain, epsilon, total, output, width);
  return last_error();
}

YOUTU_EXPORT int32_t youtu_cuda_swiglu(const float* gate_up, float* output, int64_t rows, int64_t width, void* stream) {
  if (!gated_fits(gate_up, output, rows, width)) return kInvalidValue;
  if (rows == 0) return 0;
  const unsigned blocks = unsigned(divide_up(size_t(rows * width), kRowThreads));
  YOUTU_LAUNCH(swiglu, blocks, kRowThreads, 0, stream, gate_up, output, rows, width);
  return last_error();
}

YOUTU_EXPORT int32_t youtu_cuda_geglu(const float* gate_up, float* output, int64_t rows, int64_t width, void* stream) {
  if (!gated_fits(gate_up, output, rows, width)) return kInvalidValue;
  if (rows == 0) return 0;
  const unsigned blocks = unsigned(divide_up(size_t(rows * width), kRowThreads));
  YOUTU_LAUNCH(geglu, blocks, kRowThreads, 0, stream, gate_up, output, rows, width);
  return last_error();
}
