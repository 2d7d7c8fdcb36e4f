#include "registration.h"

#include "runtime.h"

namespace youtu {

OrtStatus* register_operators(OrtSessionOptions* options, const OrtApiBase* base,
                              const std::vector<const OrtCustomOp*>& operators) {
  const OrtApi* api = base->get_api(kApiVersion);
  if (api == nullptr) return nullptr;  // no way to report it; the session will fail and name the missing operators
  static OrtCustomOpDomain* domain = nullptr;  // outlives every session
  static OrtStatus* created = [&]() -> OrtStatus* {
    auto create = reinterpret_cast<OrtStatus* (*)(const char*, OrtCustomOpDomain**)>(api->slot[kCreateCustomOpDomain]);
    auto add = reinterpret_cast<OrtStatus* (*)(OrtCustomOpDomain*, const OrtCustomOp*)>(api->slot[kCustomOpDomainAdd]);
    if (OrtStatus* status = create("youtu_edge", &domain)) return status;
    for (const OrtCustomOp* op : operators)
      if (OrtStatus* status = add(domain, op)) return status;
    return nullptr;
  }();
  if (created != nullptr) return make_status(api, kFail, "youtu_edge: the operators could not be registered");
  return reinterpret_cast<OrtStatus* (*)(OrtSessionOptions*, OrtCustomOpDomain*)>(api->slot[kAddCustomOpDomain])(options,
                                                                                                             domain);
}

}  // namespace youtu
