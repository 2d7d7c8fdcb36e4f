// Compiled once per instruction set: CMake defines YOUTU_ISA (a namespace) and YOUTU_ISA_NAME.
#include "attention_kernel.h"
#include "linear_kernel.h"
#include "row_kernels.h"

namespace youtu::YOUTU_ISA {

extern const Kernels table;
const Kernels table = {YOUTU_ISA_NAME, store_token, attend, merge, multiply, quantise, swiglu, geglu, rms_norm};

}  // namespace youtu::YOUTU_ISA
