// The entry point that SessionOptions.register_custom_ops_library() calls, for the CUDA provider.
#include "../registration.h"
#include "operators.h"

extern "C" __attribute__((visibility("default"))) youtu::OrtStatus* RegisterCustomOps(
    youtu::OrtSessionOptions* options, const youtu::OrtApiBase* base) {
  using namespace youtu::cuda;
  static youtu::Operator<PagedAttention, kProvider> paged_attention;
  static youtu::Operator<Linear, kProvider> linear;
  static youtu::Operator<Embedding, kProvider> embedding;
  static youtu::Operator<RmsNorm, kProvider> rms_norm;
  static youtu::Operator<AddRmsNorm, kProvider> add_rms_norm;
  static youtu::Operator<SwiGLU, kProvider> swiglu;
  static youtu::Operator<GeGLU, kProvider> geglu;
  return youtu::register_operators(options, base,
                                   {&paged_attention, &linear, &embedding, &rms_norm, &add_rms_norm, &swiglu, &geglu});
}
