#include "runtime.h"

#include <atomic>

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

const char* type_name(int type) {
  switch (type) {
    case kFloat: return "float";
    case kFloat16: return "float16";
    case kInt8: return "int8";
    case kInt32: return "int32";
    default: return "another type";
  }
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

bool Attributes::found(OrtStatus* status) const {
  if (status == nullptr) return true;
  function<void(OrtStatus*)>(api_, kReleaseStatus)(status);
  return false;
}

int64_t Attributes::integer(const char* name, int64_t fallback) const {
  int64_t value = fallback;
  auto get = function<OrtStatus*(const OrtKernelInfo*, const char*, int64_t*)>(api_, kKernelInfoGetAttributeInt64);
  return found(get(info_, name, &value)) ? value : fallback;
}

int64_t Attributes::required_integer(const char* name) const {
  const int64_t value = integer(name, INT64_MIN);
  if (value == INT64_MIN) refuse(std::string("attribute ") + name + " is required");
  return value;
}

float Attributes::number(const char* name, float fallback) const {
  float value = fallback;
  auto get = function<OrtStatus*(const OrtKernelInfo*, const char*, float*)>(api_, kKernelInfoGetAttributeFloat);
  return found(get(info_, name, &value)) ? value : fallback;
}

std::string Attributes::text(const char* name, const char* fallback) const {
  auto get =
      function<OrtStatus*(const OrtKernelInfo*, const char*, char*, size_t*)>(api_, kKernelInfoGetAttributeString);
  size_t size = 0;  // counts the closing zero
  if (!found(get(info_, name, nullptr, &size)) || size == 0) return fallback;
  std::string value(size, '\0');
  if (!found(get(info_, name, &value[0], &size))) return fallback;
  value.resize(size - 1);
  return value;
}

Context::Context(const OrtApi* api, OrtKernelContext* context) : api_(api), context_(context) {
  check(function<OrtStatus*(const OrtKernelContext*, size_t*)>(api, kKernelContextGetInputCount)(context,
                                                                                                &input_count_));
}

void Context::check(OrtStatus* status) const {
  if (status != nullptr) throw std::runtime_error(take_message(api_, status));
}

const OrtValue* Context::value(size_t index) const {
  const OrtValue* value = nullptr;
  if (index >= input_count_) return value;
  check(function<OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)>(api_, kKernelContextGetInput)(
      context_, index, &value));
  return value;
}

bool Context::has_input(size_t index) const { return value(index) != nullptr; }

Tensor Context::input(size_t index, const char* name, std::initializer_list<ElementType> types, size_t rank) const {
  Tensor tensor;
  const OrtValue* source = value(index);
  if (source == nullptr) return tensor;

  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(function<OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)>(api_, kGetTensorTypeAndShape)(source, &info));
  int type = kUndefined;
  function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, int*)>(api_, kGetTensorElementType)(info, &type);
  function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, size_t*)>(api_, kGetDimensionsCount)(info, &tensor.rank);
  const bool rank_fits = tensor.rank == rank && rank <= tensor.shape.size();
  if (rank_fits) {
    function<OrtStatus*(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)>(api_, kGetDimensions)(
        info, tensor.shape.data(), rank);
  }
  function<void(OrtTensorTypeAndShapeInfo*)>(api_, kReleaseTensorTypeAndShapeInfo)(info);

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
  // The cast is what "updated in place" means: the pool is an input, and its rows are written.
  check(function<OrtStatus*(OrtValue*, void**)>(api_, kGetTensorMutableData)(const_cast<OrtValue*>(source),
                                                                            &tensor.data));
  static char empty;  // a tensor without elements is present all the same
  if (tensor.data == nullptr) tensor.data = &empty;
  return tensor;
}

float* Context::output(size_t index, std::initializer_list<int64_t> shape) const {
  OrtValue* value = nullptr;
  void* data = nullptr;
  check(function<OrtStatus*(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)>(
      api_, kKernelContextGetOutput)(context_, index, shape.begin(), shape.size(), &value));
  check(function<OrtStatus*(OrtValue*, void**)>(api_, kGetTensorMutableData)(value, &data));
  return static_cast<float*>(data);
}

void Context::parallel_for(size_t count, void (*body)(const void*, size_t), const void* state) const {
  if (count <= 1) {
    if (count == 1) body(state, 0);
    return;
  }
  // No exception may cross the C interface or leave a pool thread.
  struct Shared {
    void (*body)(const void*, size_t);
    const void* state;
    std::atomic<bool> failed{false};
  } shared{body, state};
  auto run = [](void* opaque, size_t index) {
    auto* s = static_cast<Shared*>(opaque);
    try {
      s->body(s->state, index);
    } catch (...) {
      s->failed = true;
    }
  };
  auto loop = function<OrtStatus*(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>(
      api_, kKernelContextParallelFor);
  check(loop(context_, run, count, 0, &shared));
  if (shared.failed) throw std::runtime_error("out of memory for scratch space");
}

}  // namespace youtu
