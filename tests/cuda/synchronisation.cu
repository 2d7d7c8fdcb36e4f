// Kernels with a mistake that the emulator has to see, and the same ones without it.
#include "device.h"

namespace youtu::cuda {

// output[i] = what thread (i + 1) % threads put into shared memory
__global__ void take_from_neighbour(float* output, bool barrier) {
  float* shared = reinterpret_cast<float*>(shared_memory());
  shared[threadIdx.x] = float(threadIdx.x);
  if (barrier) __syncthreads();
  output[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}

__global__ void shuffle_in_half_a_warp(float* output, bool all) {
  if (all || threadIdx.x < 16) output[threadIdx.x] = shuffle_xor(float(threadIdx.x), 1);
}

__global__ void load_words(const uint8_t* from, uint32_t* output) {
  output[threadIdx.x] = load16(from).word[threadIdx.x % 4];
}

}  // namespace youtu::cuda

using namespace youtu::cuda;

#define EXPORT extern "C" __attribute__((visibility("default")))
EXPORT int neighbour(float* output, int threads, int barrier) {
  YOUTU_LAUNCH(take_from_neighbour, 1, unsigned(threads), threads * sizeof(float), nullptr, output, barrier != 0);
  return last_error();
}
EXPORT int half_warp(float* output, int all) {
  YOUTU_LAUNCH(shuffle_in_half_a_warp, 1, 32, 0, nullptr, output, all != 0);
  return last_error();
}
EXPORT int words(const uint8_t* from, uint32_t* output) {
  YOUTU_LAUNCH(load_words, 1, 32, 0, nullptr, from, output);
  return last_error();
}
