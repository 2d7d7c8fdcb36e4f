// Registers operators with a session.
#pragma once

#include <vector>

#include "ort_abi.h"

namespace youtu {

// Adds the domain youtu_edge with `operators`, which must live as long as the library, to a session's options. The set of
// the first call is used for all later ones.
OrtStatus* register_operators(OrtSessionOptions* options, const OrtApiBase* base,
                              const std::vector<const OrtCustomOp*>& operators);

}  // namespace youtu
