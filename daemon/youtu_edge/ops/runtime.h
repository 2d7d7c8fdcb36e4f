// The operators' interface to ONNX Runtime: node, tensors, errors as exceptions, a parallel loop.
#pragma once

#include <array>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "ort_abi.h"

namespace youtu {

// Ends a call with an OrtStatus that carries the message; must be thrown before anything is written.
struct InvalidInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse(const std::string& message);

inline size_t divide_up(size_t n, size_t step) { return (n + step - 1) / step; }

// The error of run_tasks() and run_repeatable(); kernels throw nothing else.
constexpr const char* kOutOfScratch = "bad_alloc: no memory for scratch space";

// A view of one input; `data` is null when the input is absent.
struct Tensor {
  std::string name;   // in the graph; initializers only
  void* data = nullptr;
  ElementType type = kUndefined;
  size_t rank = 0;
  std::array<int64_t, 4> shape{};

  explicit operator bool() const { return data != nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// "[3, 64]", for error messages.
std::string describe_shape(const Tensor& tensor);

// One node while the session is created: its attributes and its initializers.
class Node {
 public:
  Node(const OrtApi* api, const OrtKernelInfo* info);
  int64_t integer(const char* name, int64_t fallback) const;
  int64_t required_integer(const char* name) const;
  float number(const char* name, float fallback) const;
  std::string text(const char* name, const char* fallback) const;

  bool has_input(size_t index) const;
  // Fails if the input is absent, not an initializer, or of another element type or rank. The memory is valid as long as
  // the session. `role` names the input if the graph does not.
  Tensor constant(size_t index, const char* role, ElementType type, size_t rank) const;

 private:
  bool found(OrtStatus* status) const;
  std::string input_name(size_t index) const;
  const OrtApi* api_;
  const OrtKernelInfo* info_;
  size_t input_count_ = 0;
};

// One call of one kernel.
class Context {
 public:
  Context(const OrtApi* api, OrtKernelContext* context);

  // Fails on another element type or rank, naming the input; an absent optional input is an empty Tensor.
  Tensor input(size_t index, const char* name, std::initializer_list<ElementType> types, size_t rank) const;
  bool has_input(size_t index) const;
  float* output(size_t index, std::initializer_list<int64_t> shape) const;

  // The cudaStream_t of this call; null on the CPU.
  void* gpu_stream() const;

  // Runs body(i) for i in [0, count) on this thread and the workers; a count of 1 runs on this thread.
  // An exception in a body ends the call with that error.
  template <class Body>
  void parallel_for(size_t count, const Body& body) const {
    parallel_for(count, [](const void* b, size_t i) { (*static_cast<const Body*>(b))(i); }, &body);
  }

 private:
  void parallel_for(size_t count, void (*body)(const void*, size_t), const void* state) const;
  const OrtValue* value(size_t index) const;

  const OrtApi* api_;
  OrtKernelContext* context_;
  size_t input_count_ = 0;
};

OrtStatus* make_status(const OrtApi* api, ErrorCode code, const std::string& message);

}  // namespace youtu
