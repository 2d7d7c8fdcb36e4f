// PagedAttention of the C interface: checks sizes, cuts the work into thread blocks, launches.
#include "attention.h"

namespace youtu::cuda {
namespace {

constexpr int kInvalidValue = 1;                   // cudaErrorInvalidValue
constexpr int64_t kMostBlocks = 2147483647, kMostBlocksY = 65535, kMostPositions = 1 << 24;
constexpr int kWidest = 1024;
constexpr size_t kFreelyShared = 48 * 1024;        // without asking for more
constexpr int64_t kWantedBlocks = 256;             // thread blocks below which keys are split
constexpr int64_t kMostWorkspace = 16 << 20;       // beyond, they are not

bool fits(const Attention& c) {
  const bool latent = c.value == nullptr;
  return c.tokens >= 0 && c.tokens <= kMostBlocks && c.sequences >= 1 && c.sequences <= kMostBlocks && c.table_width >= 1 &&
         c.max_total >= 0 && c.max_total <= kMostPositions && c.page_tokens >= 1 && c.kv_heads >= 1 &&
         c.heads >= c.kv_heads && c.heads % c.kv_heads == 0 && c.width >= 1 && c.width <= kWidest && c.value_width >= 1 &&
         c.value_width <= c.width && (latent ? c.kv_heads == 1 && c.value_cache == nullptr : c.value_width == c.width) &&
         c.rope_half >= 0 && c.rope_offset >= 0 && c.rope_offset + 2 * c.rope_half <= c.width && c.window >= 0 &&
         c.softcap >= 0.0f;
}

bool aligned(const Attention& c) {
  const auto at = [](const void* p, size_t bytes) { return p != nullptr && reinterpret_cast<uintptr_t>(p) % bytes == 0; };
  return at(c.query, 4) && at(c.key, 4) && at(c.key_cache, 16) && at(c.cumulative, 4) && at(c.past, 4) &&
         at(c.block_table, 4) && at(c.output, 4) && (c.cos == nullptr || at(c.sin, 4)) &&
         (c.value == nullptr || (at(c.value, 4) && at(c.value_cache, 16)));
}

AttentionCut cut_of(const Attention& c) {
  AttentionCut cut{};
  constexpr int rows = kTileRows;
  const int group = c.heads / c.kv_heads;
  cut.part = group < rows ? group : rows;
  cut.parts = int(divide_up(size_t(group), size_t(rows)));
  cut.tile_tokens = group < rows ? rows / group : 1;
  cut.tiles = int(cut.tile_tokens == 1 ? c.tokens : c.tokens / cut.tile_tokens + c.sequences);
  cut.segments = int(divide_up(size_t(c.max_total > 0 ? c.max_total : 1), kSegment));
  cut.row_floats = c.value_width + 2;
  const int64_t blocks = int64_t(cut.tiles) * c.kv_heads * cut.parts;
  const int64_t wanted = blocks > 0 ? int64_t(divide_up(kWantedBlocks, size_t(blocks))) : 1;
  const bool small = blocks * cut.segments * rows * cut.row_floats * int64_t(sizeof(float)) <= kMostWorkspace;
  cut.splits = small ? int(wanted < cut.segments ? wanted : cut.segments) : 1;
  cut.step = int(divide_up(size_t(cut.segments), size_t(cut.splits)));
  cut.splits = int(divide_up(size_t(cut.segments), size_t(cut.step)));
  return cut;
}

int64_t workspace_of(const Attention& c, const AttentionCut& cut) {
  if (cut.splits == 1) return 0;
  const int64_t tiles = int64_t(cut.tiles) * c.kv_heads * cut.parts;
  return tiles * cut.segments * kTileRows * cut.row_floats * int64_t(sizeof(float));
}

template <int Groups, bool kAligned>
int launch(const AttendCall& call, void* stream) {
  const size_t shared = shared_attend(call.c.width);
  if (shared > kFreelyShared)
    if (const int error = allow_shared(attend<Groups, kAligned>, shared)) return error;
  const dim3 grid(unsigned(call.cut.tiles), unsigned(call.c.kv_heads * call.cut.parts), unsigned(call.cut.splits));
  YOUTU_LAUNCH((attend<Groups, kAligned>), grid, kAttendThreads, shared, stream, call);
  if (const int error = last_error()) return error;
  if (call.cut.splits == 1) return 0;
  YOUTU_LAUNCH(merge_segments, dim3(grid.x, grid.y), kMergeThreads, 0, stream, call);
  return last_error();
}

// As many warps share a key's channels as have any.
template <bool kAligned>
int launch_groups(const AttendCall& call, void* stream) {
  const int groups = int(divide_up(size_t(call.c.value_width), kWarpChannels));
  if (groups > 4) return launch<8, kAligned>(call, stream);
  if (groups > 2) return launch<4, kAligned>(call, stream);
  return groups > 1 ? launch<2, kAligned>(call, stream) : launch<1, kAligned>(call, stream);
}

}  // namespace
}  // namespace youtu::cuda

using namespace youtu::cuda;

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

YOUTU_EXPORT int64_t youtu_cuda_attention_workspace(const YoutuAttention* call) {
  return fits(*call) ? workspace_of(*call, cut_of(*call)) : -1;
}

YOUTU_EXPORT int32_t youtu_cuda_attention(const YoutuAttention* call, void* stream) {
  if (!fits(*call)) return kInvalidValue;
  if (call->tokens == 0) return 0;
  const AttentionCut cut = cut_of(*call);
  const bool workspace = call->workspace != nullptr && reinterpret_cast<uintptr_t>(call->workspace) % sizeof(float) == 0;
  if (!aligned(*call) || int64_t(call->kv_heads) * cut.parts > kMostBlocksY || cut.splits > kMostBlocksY ||
      (workspace_of(*call, cut) > 0 && !workspace))
    return kInvalidValue;
  YOUTU_LAUNCH(store_tokens, unsigned(call->tokens), kStoreThreads, 0, stream, *call);
  if (const int error = last_error()) return error;
  const AttendCall whole{*call, cut, static_cast<float*>(call->workspace)};
  const bool even = call->width % 8 == 0 && call->value_width % 8 == 0;
  return even ? launch_groups<true>(whole, stream) : launch_groups<false>(whole, stream);
}
