// The entry point that SessionOptions.register_custom_ops_library() calls.
#include "embedding.h"
#include "linear.h"
#include "paged_attention.h"
#include "row_operators.h"

namespace youtu {
namespace {

OrtStatus* register_operators(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->get_api(kApiVersion);
  if (api == nullptr) return nullptr;  // no way to report it; the missing operators will be named by the session
  // Both must outlive every session, so they live as long as the library.
  static OrtCustomOpDomain* domain = nullptr;
  static Operator<PagedAttention> paged_attention;
  static Operator<Linear> linear;
  static Operator<Embedding> embedding;
  static Operator<RmsNorm> rms_norm;
  static Operator<AddRmsNorm> add_rms_norm;
  static Operator<SwiGLU> swiglu;
  static OrtStatus* created = [&]() -> OrtStatus* {
    auto create = reinterpret_cast<OrtStatus* (*)(const char*, OrtCustomOpDomain**)>(api->slot[kCreateCustomOpDomain]);
    auto add = reinterpret_cast<OrtStatus* (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(api->slot[kCustomOpDomainAdd]);
    if (OrtStatus* status = create("youtu_edge", &domain)) return status;
    const OrtCustomOp* operators[] = {&paged_attention, &linear, &embedding, &rms_norm, &add_rms_norm, &swiglu};
    for (const OrtCustomOp* op : operators)
      if (OrtStatus* status = add(domain, op)) return status;
    return nullptr;
  }();
  if (created != nullptr) return make_status(api, kFail, "youtu_edge: the operators could not be registered");
  return reinterpret_cast<OrtStatus* (*)(OrtSessionOptions*, OrtCustomOpDomain*)>(api->slot[kAddCustomOpDomain])(options,
                                                                                                             domain);
}

}  // namespace
}  // namespace youtu

extern "C" __attribute__((visibility("default"))) youtu::OrtStatus* RegisterCustomOps(
    youtu::OrtSessionOptions* options, const youtu::OrtApiBase* base) {
  return youtu::register_operators(options, base);
}
