// The entry point called by SessionOptions.register_custom_ops_library().
#include "embedding.h"
#include "linear.h"
#include "paged_attention.h"
#include "registration.h"
#include "row_operators.h"

extern "C" __attribute__((visibility("default"))) youtu::OrtStatus* RegisterCustomOps(
    youtu::OrtSessionOptions* options, const youtu::OrtApiBase* base) {
  using namespace youtu;
  static Operator<PagedAttention> paged_attention;
  static Operator<Linear> linear;
  static Operator<Embedding> embedding;
  static Operator<RmsNorm> rms_norm;
  static Operator<AddRmsNorm> add_rms_norm;
  static Operator<SwiGLU> swiglu;
  static Operator<GeGLU> geglu;
  return register_operators(options, base,
                            {&paged_attention, &linear, &embedding, &rms_norm, &add_rms_norm, &swiglu, &geglu});
}
