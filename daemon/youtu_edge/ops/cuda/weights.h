// Constant inputs of nodes on the device: copied once from where ONNX Runtime has mapped the package's file.
#pragma once

#include <cstddef>
#include <memory>

#include "../quantised_matrix.h"
#include "interface.h"

namespace youtu::cuda {

// A copy of `bytes` bytes of the host's memory, on 256 bytes; it lives as long as somebody holds it.
//
// What lies at one place of one file is copied once, however many nodes have it: a table and the head that is tied to it.
// Copying goes in pieces, and the pages of a file are given back behind each, so that never two whole copies are in memory.
// Throws std::runtime_error when the device has no memory left.
std::shared_ptr<const void> on_device(const void* host, size_t bytes);

// A matrix of a node, checked on the host, for kernels.
class DeviceMatrix {
 public:
  explicit DeviceMatrix(const QuantisedMatrix& host);
  const YoutuMatrix& view() const { return view_; }

 private:
  YoutuMatrix view_{};
  std::shared_ptr<const void> codes_, scales_, offsets_;
};

}  // namespace youtu::cuda
