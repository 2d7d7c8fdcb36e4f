// Makes operators known to a session.
#pragma once

#include <vector>

#include "ort_abi.h"

namespace youtu {

// Adds the domain youtu_edge with `operators`, which live as long as the library, to a session's options. One set for each
// library: those of the first call stay.
OrtStatus* register_operators(OrtSessionOptions* options, const OrtApiBase* base,
                              const std::vector<const OrtCustomOp*>& operators);

}  // namespace youtu
