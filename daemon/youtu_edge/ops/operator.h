// Makes an OrtCustomOp out of a C++ class.
//
//   struct Kernel {
//     static constexpr const char* kName;
//     static constexpr InputSpec kInputs[];      // in order; type kUndefined = the kernel checks it itself
//     static constexpr size_t kOutputs;          // all of them float
//     explicit Kernel(const Node&);              // may refuse(); validates what is constant
//     void compute(const Context&);              // may refuse()
//   };
//
// An operator for a GPU gets device pointers, except for inputs that are kHost.
#pragma once

#include <iterator>
#include <string>

#include "runtime.h"

namespace youtu {

struct InputSpec {
  ElementType type;
  Characteristic characteristic;
  MemoryType memory = kOfProvider;
};

inline constexpr char kCpuProvider[] = "CPUExecutionProvider";

template <class Kernel, const char* Provider = kCpuProvider>
class Operator : public OrtCustomOp {
  struct Instance {
    const OrtApi* api;
    Kernel kernel;
  };

  static std::string named(const char* what) { return std::string("youtu_edge.") + Kernel::kName + ": " + what; }

  static OrtStatus* create(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
    try {
      *kernel = new Instance{api, Kernel(Node(api, info))};
      return nullptr;
    } catch (const InvalidInput& error) {
      return make_status(api, kInvalidArgument, named(error.what()));
    } catch (const std::exception& error) {
      return make_status(api, kFail, named(error.what()));
    }
  }

  static OrtStatus* run(void* opaque, OrtKernelContext* context) {
    auto* instance = static_cast<Instance*>(opaque);
    try {
      instance->kernel.compute(Context(instance->api, context));
      return nullptr;
    } catch (const InvalidInput& error) {
      return make_status(instance->api, kInvalidArgument, named(error.what()));
    } catch (const std::exception& error) {
      return make_status(instance->api, kFail, named(error.what()));
    }
  }

 public:
  Operator() : OrtCustomOp{} {
    version = kApiVersion;
    name = [](const OrtCustomOp*) { return Kernel::kName; };
    execution_provider = [](const OrtCustomOp*) { return Provider; };
    input_type = [](const OrtCustomOp*, size_t i) -> int { return Kernel::kInputs[i].type; };
    input_count = [](const OrtCustomOp*) { return std::size(Kernel::kInputs); };
    output_type = [](const OrtCustomOp*, size_t) -> int { return kFloat; };
    output_count = [](const OrtCustomOp*) { return Kernel::kOutputs; };
    destroy = [](void* opaque) { delete static_cast<Instance*>(opaque); };
    input_characteristic = [](const OrtCustomOp*, size_t i) -> int { return Kernel::kInputs[i].characteristic; };
    output_characteristic = [](const OrtCustomOp*, size_t) -> int { return kRequired; };
    input_memory_type = [](const OrtCustomOp*, size_t i) -> int { return Kernel::kInputs[i].memory; };
    variadic_input_min_arity = [](const OrtCustomOp*) { return 1; };
    variadic_input_homogeneity = [](const OrtCustomOp*) { return 0; };
    variadic_output_min_arity = [](const OrtCustomOp*) { return 1; };
    variadic_output_homogeneity = [](const OrtCustomOp*) { return 0; };
    create_kernel_v2 = &create;
    compute_v2 = &run;
    start_version = [](const OrtCustomOp*) { return 1; };
    end_version = [](const OrtCustomOp*) { return INT32_MAX; };
    may_inplace = [](int**, int**) -> size_t { return 0; };
    release_may_inplace = [](int*, int*) {};
    alias_map = [](int**, int**) -> size_t { return 0; };
    release_alias_map = [](int*, int*) {};
  }
};

}  // namespace youtu
