#include "runtime.h"

namespace youtu {
namespace {

template <class Function>
Function* function(const OrtApi* api, Slot slot) {
  return reinterpret_cast<Function*>(api->slot[slot]);
}

std::string take_message(const OrtApi* api, OrtStatus* status) {
  std::string message = function<const char*(const OrtStatus*)>(api, kGetErrorMessage)(status);
  function<void(OrtStatus*)>(api, kReleaseStatus)(status);
  return message;
}

void check(const OrtApi* api, OrtStatus* status) {
  if (status != nullptr) throw std::runtime_error(take_message(api, status));
}

const char* type_name(int type) {
  switch (type) {
    case kFloat: return "float";
    case kFloat16: return "float16";
    case kUint8: return "uint8";
    case kInt32: return "int32";
    case kInt64: return "int64";
    default: return "another type";
  }
}

// Reads element type, rank and shape of a value; fails on a mismatch.
Tensor view(const OrtApi* api, const OrtValue* source, const char* name, std::initializer_list<ElementType> types,
            size_t rank) {
  Tensor tensor;
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api, function<OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)>(api, kGetTensorTypeAndShape)(source, &info));
  int type = kUndefined;
  function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, int*)>(api, kGetTensorElementType)(info, &type);
  function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, size_t*)>(api, kGetDimensionsCount)(info, &tensor.rank);
  const bool rank_fits = tensor.rank == rank && rank <= tensor.shape.size();
  if (rank_fits) {
    function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>(api, kGetDimensions)(
        info, tensor.shape.data(), rank);
  }
  function<void(OrtTensorTypeAndShapeInfo*)>(api, kReleaseTensorTypeAndShapeInfo)(info);

  if (!rank_fits) {
    refuse(std::string(name) + " has " + std::to_string(tensor.rank) + " dimensions, expected " + std::to_string(rank));
  }
  bool type_fits = false;
  for (ElementType allowed : types) type_fits = type_fits || type == allowed;
  if (!type_fits) {
    std::string expected;
    for (ElementType allowed : types) expected += (expected.empty() ? "" : " or ") + std::string(type_name(allowed));
    refuse(std::string(name) + " is a tensor of " + type_name(type) + ", expected " + expected);
  }
  tensor.type = static_cast<ElementType>(type);
  // The cast allows in-place updates: the cache is an input whose rows the operator writes.
  check(api, function<OrtStatus*(OrtValue*, void**)>(api, kGetTensorMutableData)(const_cast<OrtValue*>(source),
                                                                                &tensor.data));
  static char empty;  // so that an empty tensor differs from an absent one
  if (tensor.data == nullptr) tensor.data = &empty;
  return tensor;
}

}  // namespace

void refuse(const std::string& message) { throw InvalidInput(message); }

std::string describe_shape(const Tensor& tensor) {
  std::string text = "[";
  for (size_t i = 0; i < tensor.rank; ++i) text += (i ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

OrtStatus* make_status(const OrtApi* api, ErrorCode code, const std::string& message) {
  return function<OrtStatus*(int, const char*)>(api, kCreateStatus)(code, message.c_str());
}

bool Node::found(OrtStatus* status) const {
  if (status == nullptr) return true;
  function<void(OrtStatus*)>(api_, kReleaseStatus)(status);
  return false;
}

int64_t Node::integer(const char* name, int64_t fallback) const {
  int64_t value = fallback;
  auto get = function<OrtStatus*(const OrtKernelInfo*, const char*, int64_t*)>(api_, kKernelInfoGetAttributeInt64);
  return found(get(info_, name, &value)) ? value : fallback;
}

int64_t Node::required_integer(const char* name) const {
  const int64_t value = integer(name, INT64_MIN);
  if (value == INT64_MIN) refuse(std::string("attribute ") + name + " is required");
  return value;
}

float Node::number(const char* name, float fallback) const {
  float value = fallback;
  auto get = function<OrtStatus*(const OrtKernelInfo*, const char*, float*)>(api_, kKernelInfoGetAttributeFloat);
  return found(get(info_, name, &value)) ? value : fallback;
}

std::string Node::text(const char* name, const char* fallback) const {
  auto get =
      function<OrtStatus*(const OrtKernelInfo*, const char*, char*, size_t*)>(api_, kKernelInfoGetAttributeString);
  size_t size = 0;  // counts the closing zero
  if (!found(get(info_, name, nullptr, &size)) || size == 0) return fallback;
  std::string value(size, '\0');
  if (!found(get(info_, name, &value[0], &size))) return fallback;
  value.resize(size - 1);
  return value;
}

Node::Node(const OrtApi* api, const OrtKernelInfo* info) : api_(api), info_(info) {
  check(api, function<OrtStatus*(const OrtKernelInfo*, size_t*)>(api, kKernelInfoGetInputCount)(info, &input_count_));
}

std::string Node::input_name(size_t index) const {
  auto get = function<OrtStatus*(const OrtKernelInfo*, size_t, char*, size_t*)>(api_, kKernelInfoGetInputName);
  size_t size = 0;  // counts the closing zero
  if (index >= input_count_ || !found(get(info_, index, nullptr, &size)) || size == 0) return "";
  std::string name(size, '\0');
  if (!found(get(info_, index, &name[0], &size))) return "";
  name.resize(size - 1);
  return name;
}

bool Node::has_input(size_t index) const { return !input_name(index).empty(); }

Tensor Node::constant(size_t index, const char* role, ElementType type, size_t rank) const {
  const std::string name = input_name(index);
  if (name.empty()) refuse(std::string(role) + " is required");
  int is_constant = 0;
  const OrtValue* value = nullptr;
  auto get = function<OrtStatus*(const OrtKernelInfo*, size_t, int*, const OrtValue**)>(api_, kKernelInfoGetConstantInput);
  check(api_, get(info_, index, &is_constant, &value));
  if (!is_constant || value == nullptr) refuse(name + " must be an initializer");
  Tensor tensor = view(api_, value, name.c_str(), {type}, rank);
  tensor.name = name;
  return tensor;
}

Context::Context(const OrtApi* api, OrtKernelContext* context) : api_(api), context_(context) {
  check(api_, function<OrtStatus*(const OrtKernelContext*, size_t*)>(api, kKernelContextGetInputCount)(context,
                                                                                                &input_count_));
}

const OrtValue* Context::value(size_t index) const {
  const OrtValue* value = nullptr;
  if (index >= input_count_) return value;
  check(api_, function<OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)>(api_, kKernelContextGetInput)(
      context_, index, &value));
  return value;
}

bool Context::has_input(size_t index) const { return value(index) != nullptr; }

Tensor Context::input(size_t index, const char* name, std::initializer_list<ElementType> types, size_t rank) const {
  const OrtValue* source = value(index);
  return source == nullptr ? Tensor{} : view(api_, source, name, types, rank);
}

float* Context::output(size_t index, std::initializer_list<int64_t> shape) const {
  OrtValue* value = nullptr;
  void* data = nullptr;
  check(api_, function<OrtStatus*(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>(
      api_, kKernelContextGetOutput)(context_, index, shape.begin(), shape.size(), &value));
  check(api_, function<OrtStatus*(OrtValue*, void**)>(api_, kGetTensorMutableData)(value, &data));
  return static_cast<float*>(data);
}

void* Context::gpu_stream() const {
  void* stream = nullptr;
  check(api_, function<OrtStatus*(const OrtKernelContext*, void**)>(api_, kKernelContextGetGpuComputeStream)(context_,
                                                                                                           &stream));
  return stream;
}

}  // namespace youtu
