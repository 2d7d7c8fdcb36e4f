#include "weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "../kernels.h"
#include "device_memory.h"

namespace youtu::cuda {
namespace {

// Allocations of CUDA are rounded up to 2 MiB: tensors share large ones. A tensor goes into the first that has room.
constexpr size_t kChunkBytes = 32 << 20, kAlignment = 256, kPieceBytes = 4 << 20;

struct Chunk {
  DeviceBlock block;
  size_t used = 0;
};

// Where memory comes from: device and number of the file, offset in it; no number: it is no file's.
struct Place {
  std::string device;
  uint64_t inode = 0, offset = 0;
  bool operator<(const Place& other) const {
    return std::tie(device, inode, offset) < std::tie(other.device, other.inode, other.offset);
  }
};

Place place_of(const void* address) {
  Place found;
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return found;
  const uintptr_t wanted = reinterpret_cast<uintptr_t>(address);
  char line[4096 + 128], device[16];
  while (std::fgets(line, sizeof line, maps)) {
    uintptr_t begin, end;
    uint64_t offset, inode;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*4s %" SCNx64 " %15s %" SCNu64, &begin, &end, &offset, device, &inode) != 5)
      continue;
    if (wanted < begin || wanted >= end) continue;
    found = {device, inode, offset + (wanted - begin)};
    break;
  }
  std::fclose(maps);
  return found;
}

struct Uploads {
  std::mutex mutex;
  std::vector<std::weak_ptr<Chunk>> chunks;
  std::map<std::pair<Place, size_t>, std::weak_ptr<const void>> known;
};
Uploads& uploads() {
  static Uploads* all = new Uploads;  // kernels may be destroyed after static objects
  return *all;
}

// Room for so many bytes, which keeps the chunk that it lies in.
std::shared_ptr<char> reserve(std::vector<std::weak_ptr<Chunk>>& chunks, size_t bytes) {
  chunks.erase(std::remove_if(chunks.begin(), chunks.end(), [](const auto& chunk) { return chunk.expired(); }), chunks.end());
  const size_t taken = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  std::shared_ptr<Chunk> chosen;
  for (const auto& candidate : chunks)
    if (auto chunk = candidate.lock(); chunk && chunk->block.bytes() - chunk->used >= taken) {
      chosen = std::move(chunk);
      break;
    }
  if (chosen == nullptr) {
    chosen = std::make_shared<Chunk>(Chunk{DeviceBlock(std::max(taken, kChunkBytes), "weights"), 0});
    chunks.push_back(chosen);
  }
  char* const address = chosen->block.data() + chosen->used;
  chosen->used += taken;
  return std::shared_ptr<char>(chosen, address);
}

// The system reads whole pages [begin, end) of the file again when somebody wants them.
void give_back(const char* begin, const char* end) {
  const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t last = reinterpret_cast<uintptr_t>(end) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace

std::shared_ptr<const void> on_device(const void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  std::lock_guard<std::mutex> lock(uploads().mutex);
  const Place place = place_of(host);
  const auto key = std::make_pair(place, bytes);
  if (place.inode != 0)
    if (const auto known = uploads().known.find(key); known != uploads().known.end())
      if (auto shared = known->second.lock()) return shared;
  const std::shared_ptr<char> target = reserve(uploads().chunks, bytes);
  const char* const source = static_cast<const char*>(host);
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    const size_t piece = std::min(kPieceBytes, bytes - at);
    check(device_copy(target.get() + at, source + at, piece, kToDevice, nullptr), "copying weights to the GPU");
    check(device_synchronise(), "copying weights to the GPU");
    if (place.inode != 0) give_back(source + at, source + at + piece);
  }
  if (place.inode != 0) uploads().known[key] = target;
  return target;
}

DeviceMatrix::DeviceMatrix(const QuantisedMatrix& host) {
  const size_t tiles = host.heads * host.tiles_per_head, scales = tiles * (host.k / host.block) * kTileRows;
  codes_ = on_device(host.codes, tiles * host.k * size_t(host.bits) / 8 * kTileRows);
  scales_ = on_device(host.scales, scales * sizeof(uint16_t));
  view_.codes = static_cast<const uint8_t*>(codes_.get());
  view_.scales = static_cast<const uint16_t*>(scales_.get());
  if (host.zero_points != nullptr) {
    offsets_ = on_device(host.zero_points, scales);
    view_.zero_points = static_cast<const uint8_t*>(offsets_.get());
  } else if (host.minimums != nullptr) {
    offsets_ = on_device(host.minimums, scales * sizeof(uint16_t));
    view_.minimums = static_cast<const uint16_t*>(offsets_.get());
  }
  view_.rows = int64_t(host.rows);
  view_.k = int64_t(host.k);
  view_.bits = host.bits;
  view_.block = int32_t(host.block);
  view_.heads = int32_t(host.heads);
}

}  // namespace youtu::cuda
