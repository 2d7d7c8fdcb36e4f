// The entry point that SessionOptions.register_custom_ops_library() calls.
#include "paged_attention.h"
#include "small_operators.h"

namespace youtu {
namespace {

OrtStatus* register_operators(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->get_api(kApiVersion);
  if (api == nullptr) return nullptr;  // no way to report it; the missing operators will be named by the session
  // Both must outlive every session, so they live as long as the library.
  static OrtCustomOpDomain* domain = nullptr;
  static Operator<PagedAttention> paged_attention;
  static Operator<BlockMinAdd> block_min_add;
  static Operator<SwiGLU> swiglu;
  static Operator<HeadwiseMatMul> headwise_matmul;
  static OrtStatus* created = [&]() -> OrtStatus* {
    auto create = reinterpret_cast<OrtStatus* (*)(const char*, OrtCustomOpDomain**)>(api->slot[kCreateCustomOpDomain]);
    auto add = reinterpret_cast<OrtStatus* (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(api->slot[kCustomOpDomainAdd]);
    if (OrtStatus* status = create("youtu_edge", &domain)) return status;
    const OrtCustomOp* operators[] = {&paged_attention, &block_min_add, &swiglu, &headwise_matmul};
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
