// The part of ONNX Runtime's C interface that this library uses, written by hand.
//
// No wheel ships the C headers, and the interface is append-only: a function never changes its slot in
// the table. So a call needs only the slot's index and the function's type.
// We request API version 20, which every release from 1.20 on supports.
#pragma once

#include <cstddef>
#include <cstdint>

namespace youtu {

constexpr uint32_t kApiVersion = 20;

// Opaque types, used only through pointers.
struct OrtStatus;
struct OrtValue;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;

using AnyFunction = void (*)();

struct OrtApi {
  AnyFunction slot[1];  // actually several hundred
};

struct OrtApiBase {
  const OrtApi* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

enum Slot : size_t {
  kCreateStatus = 0,
  kGetErrorMessage = 2,
  kCreateCustomOpDomain = 26,
  kCustomOpDomainAdd = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kKernelInfoGetAttributeFloat = 85,
  kKernelInfoGetAttributeInt64 = 86,
  kKernelInfoGetAttributeString = 87,
  kKernelContextGetInputCount = 88,
  kKernelContextGetInput = 90,
  kKernelContextGetOutput = 91,
  kReleaseStatus = 93,
  kReleaseTensorTypeAndShapeInfo = 99,
  kKernelContextGetGpuComputeStream = 193,
  kKernelInfoGetInputCount = 230,
  kKernelInfoGetInputName = 232,
  kKernelInfoGetConstantInput = 249,
};

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };

enum ElementType : int { kUndefined = 0, kFloat = 1, kUint8 = 2, kInt32 = 6, kInt64 = 7, kFloat16 = 10 };

// Where an operator needs an input: in the memory of its execution provider, or always in host memory.
enum MemoryType : int { kHost = -2, kOfProvider = 0 };

enum Characteristic : int { kRequired = 0, kOptional = 1 };

// ONNX Runtime's function table of one operator. The order of the members is part of the ABI.
struct OrtCustomOp {
  uint32_t version;
  void* (*create_kernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);  // superseded by _v2
  const char* (*name)(const OrtCustomOp*);
  const char* (*execution_provider)(const OrtCustomOp*);
  int (*input_type)(const OrtCustomOp*, size_t);
  size_t (*input_count)(const OrtCustomOp*);
  int (*output_type)(const OrtCustomOp*, size_t);
  size_t (*output_count)(const OrtCustomOp*);
  void (*compute)(void*, OrtKernelContext*);  // superseded by _v2
  void (*destroy)(void*);
  int (*input_characteristic)(const OrtCustomOp*, size_t);
  int (*output_characteristic)(const OrtCustomOp*, size_t);
  int (*input_memory_type)(const OrtCustomOp*, size_t);
  int (*variadic_input_min_arity)(const OrtCustomOp*);
  int (*variadic_input_homogeneity)(const OrtCustomOp*);
  int (*variadic_output_min_arity)(const OrtCustomOp*);
  int (*variadic_output_homogeneity)(const OrtCustomOp*);
  OrtStatus* (*create_kernel_v2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void**);
  OrtStatus* (*compute_v2)(void*, OrtKernelContext*);
  OrtStatus* (*infer_output_shape)(const OrtCustomOp*, void*);
  int (*start_version)(const OrtCustomOp*);
  int (*end_version)(const OrtCustomOp*);
  size_t (*may_inplace)(int** inputs, int** outputs);
  void (*release_may_inplace)(int* inputs, int* outputs);
  size_t (*alias_map)(int** inputs, int** outputs);
  void (*release_alias_map)(int* inputs, int* outputs);
};

}  // namespace youtu
