// Linear for up to eight rows: limited by reading the weights, which are read once for all rows, sixteen bytes a lane.
//
//   y[t, n] = fold over blocks b, ascending:  y = fma(float(sum_k (code - zero) * a[t, k]), scale[n, b] * sa[t, b], y)
//             and with minimums               y = fma(middle[n, b], total[t, b], y)
//
// A thread block has a tile of 16 rows of the matrix. Its warps share the blocks of values, a chunk at a time:
//
//   blocks of a chunk    | warp 0 | warp 1 | … | warp 0 | warp 1 | …     sums by dp4a and shuffles: integers, no order
//   shared memory        dot [row of x, block, row of the tile], scales
//   one thread per y     folds the chunk in the order of its blocks      floats: always this order
//
// A step of a warp is 512 bytes, eight groups of the tile. Lane 4 j + q loads rows 4q..4q+3 of group j.
//
//   few groups in a block (at most 8)    a unit is a step and has 8 / groups blocks
//   more                                 a unit is a block and has groups / 8 steps
#pragma once

#include "matrix.h"

namespace youtu::cuda {

// A block's integer sum without its zero point, and the scales of weight and activations.
struct alignas(8) Product {
  float dot, scale;
};

constexpr int kStepGroups = 8;

// How a chunk is cut. Steps in flight make a long chunk; more rows have more to share, and a shorter one.
template <int T>
struct FewRows {
  static constexpr int kWarps = T < 8 ? 8 : 4;
  static constexpr int kThreads = kWarps * kWarp;
  static constexpr int kDepth = T == 1 ? 4 : T == 2 ? 2 : 1;  // steps whose weights a lane loads at once
};

struct FewPlan {
  int groups, group_shift;        // of a block of values, a power of two, as all that have a shift
  int unit_blocks;
  int unit_steps, step_shift;
  int chunk_blocks, chunk_steps;  // steps of one warp; a multiple of the depth
};

YOUTU_HD int shift_of(int power) {
  int shift = 0;
  while (power > 1 << shift) ++shift;
  return shift;
}

template <int T>
YOUTU_HD FewPlan plan_few(const Matrix& m) {
  FewPlan p;
  p.groups = groups_of_block(m);
  p.group_shift = shift_of(p.groups);
  p.unit_blocks = p.groups < kStepGroups ? kStepGroups / p.groups : 1;
  p.unit_steps = p.groups > kStepGroups ? p.groups / kStepGroups : 1;
  p.step_shift = shift_of(p.unit_steps);
  p.chunk_steps = p.unit_steps > FewRows<T>::kDepth ? p.unit_steps : FewRows<T>::kDepth;
  p.chunk_blocks = FewRows<T>::kWarps * p.chunk_steps / p.unit_steps * p.unit_blocks;
  return p;
}

// Two chunks of products, and of middles: one is folded while the next one is computed.
template <int T>
YOUTU_HD size_t shared_few(const Matrix& m) {
  const size_t places = size_t(2) * plan_few<T>(m).chunk_blocks * kTileRows;
  return places * (T * sizeof(Product) + (m.minimums != nullptr ? sizeof(float) : 0));
}

// The group of the tile that this lane loads in a step of its warp in a chunk; beyond the last one for what is not there.
template <int T>
YOUTU_DEVICE int group_of(const FewPlan& p, int chunk, int step) {
  const int unit = (step >> p.step_shift) * FewRows<T>::kWarps + int(threadIdx.x) / kWarp;
  const int block = chunk * p.chunk_blocks + unit * p.unit_blocks;
  return (block << p.group_shift) + (step & (p.unit_steps - 1)) * kStepGroups + int(threadIdx.x) % kWarp / 4;
}

// Four values of a row of the matrix by those of a row of activations, for four rows.
template <int Bits>
YOUTU_DEVICE void add_products(const Words4& w, const int8_t* activations, int (&sums)[4]) {
  if constexpr (Bits == 4) {
    const Words2 a = load8(activations);
    for (int i = 0; i < 4; ++i) {
      sums[i] = dot4(sums[i], w.word[i] & kNibbles, a.word[0]);
      sums[i] = dot4(sums[i], w.word[i] >> 4 & kNibbles, a.word[1]);
    }
  } else {
    const uint32_t a = load4(activations);
    for (int i = 0; i < 4; ++i) sums[i] = dot4(sums[i], w.word[i] ^ kFlip, a);
  }
}

// Sums of four rows over the lanes 4 j + q of a block. Each step halves what a lane holds, until it is one row: of lane
// 4 j + q, row 4 q + 2 (j & 1) + (j >> 1 & 1). With two groups, lanes hold two rows each: 4 q + 2 (j & 1) and the next.
YOUTU_DEVICE void add_lanes(int groups, int (&sums)[4]) {
  const int j = int(threadIdx.x) % kWarp / 4;
  const bool odd = j & 1, second = j & 2;
  for (int i = 0; i < 2; ++i) {
    const int kept = odd ? sums[2 + i] : sums[i], given = odd ? sums[i] : sums[2 + i];
    sums[i] = kept + shuffle_xor(given, 4);
  }
  if (groups == 2) return;
  const int kept = second ? sums[1] : sums[0], given = second ? sums[0] : sums[1];
  sums[0] = kept + shuffle_xor(given, 8);
  if (groups >= 8) sums[0] += shuffle_xor(sums[0], 16);
}

struct FewCall {
  Matrix m;
  Activations a;
  int64_t rows;   // of x: at most T
  float* y;
};

template <int T>
struct FewTile {
  const FewCall& c;
  FewPlan p;
  int tile, head, blocks;
  Product* products;  // [2][T][chunk_blocks][16]
  float* middles;     // [2][chunk_blocks][16]

  YOUTU_DEVICE int row(int t) const { return t < c.rows ? t : int(c.rows) - 1; }  // a stand-in, which nobody writes
  YOUTU_DEVICE size_t block_of_x(int t, int b) const {
    return size_t(row(t)) * c.m.heads * blocks + size_t(head) * blocks + b;
  }
  YOUTU_DEVICE size_t place(int chunk, int t, int i) const {
    return ((size_t(chunk % 2) * T + t) * p.chunk_blocks + i) * kTileRows;
  }
};

// Block i of the chunk, row r of the tile: what the fold needs of it.
template <int T>
YOUTU_DEVICE void put_products(const FewTile<T>& f, int chunk, int i, int r, const int (&sums)[T]) {
  const int b = chunk * f.p.chunk_blocks + i;
  if (b >= f.blocks) return;
  const Weight w = weight_at(f.c.m, first_scale(f.c.m, f.tile, b) + r);
  for (int t = 0; t < T; ++t) {
    const size_t at = f.block_of_x(t, b);
    const float dot = fused(w.zero, load1(f.c.a.negative_sums + at), exact_float(sums[t]));
    f.products[f.place(chunk, t, i) + r] = {dot, w.scale * load1(f.c.a.scales + at)};
  }
  if (f.c.m.minimums != nullptr) f.middles[(size_t(chunk % 2) * f.p.chunk_blocks + i) * kTileRows + r] = w.middle;
}

// A unit is complete: its sums go to the fold.
template <int T>
YOUTU_DEVICE void end_unit(const FewTile<T>& f, int chunk, int unit, int (&sums)[T][4]) {
  for (int t = 0; t < T; ++t) add_lanes(f.p.groups, sums[t]);
  const int lane = int(threadIdx.x) % kWarp, j = lane / 4, q = lane % 4;
  const int i = unit * f.p.unit_blocks + (f.p.unit_blocks > 1 ? j >> f.p.group_shift : 0);
  if (f.p.groups >= 8 && j >= 4) return;  // lane 4 (j - 4) + q has the same
  int some[T];
  for (int t = 0; t < T; ++t) some[t] = sums[t][0];
  if (f.p.groups > 2) return put_products(f, chunk, i, 4 * q + 2 * (j & 1) + (j >> 1 & 1), some);
  put_products(f, chunk, i, 4 * q + 2 * (j & 1), some);
  for (int t = 0; t < T; ++t) some[t] = sums[t][1];
  put_products(f, chunk, i, 4 * q + 2 * (j & 1) + 1, some);
}

// Thread 16 t + r folds row t of x for row r of the tile.
template <int T>
YOUTU_DEVICE float fold_chunk(const FewTile<T>& f, int chunk, float y) {
  const int t = int(threadIdx.x) / kTileRows, r = int(threadIdx.x) % kTileRows, first = chunk * f.p.chunk_blocks;
  const int count = f.blocks - first < f.p.chunk_blocks ? f.blocks - first : f.p.chunk_blocks;
  const Product* products = f.products + f.place(chunk, t, 0) + r;
  if (f.c.m.minimums == nullptr) {
YOUTU_UNROLL_BY(8)
    for (int i = 0; i < count; ++i) y = fused(products[i * kTileRows].dot, products[i * kTileRows].scale, y);
    return y;
  }
  const float* middles = f.middles + size_t(chunk % 2) * f.p.chunk_blocks * kTileRows + r;
  const float* totals = f.c.a.totals + f.block_of_x(t, first);
YOUTU_UNROLL_BY(4)
  for (int i = 0; i < count; ++i) {
    y = fused(products[i * kTileRows].dot, products[i * kTileRows].scale, y);
    y = fused(middles[i * kTileRows], load1(totals + i), y);
  }
  return y;
}

template <int T>
YOUTU_DEVICE void load_steps(const FewTile<T>& f, int chunk, int step, Words4 (&w)[FewRows<T>::kDepth]) {
  const uint8_t* codes = codes_of_tile(f.c.m, f.tile);
  const int q = int(threadIdx.x) % 4, groups = f.blocks * f.p.groups;
  for (int d = 0; d < FewRows<T>::kDepth; ++d) {
    const int group = group_of<T>(f.p, chunk, step + d);
    w[d] = group < groups ? load16(codes + size_t(group) * kGroupBytes + q * 16) : Words4{{0, 0, 0, 0}};
  }
}

// Scales and offsets of the tile lie together, and are wanted only when its first codes have come: both at once, then.
template <int T>
YOUTU_DEVICE void prefetch_scales(const FewTile<T>& f) {
  const size_t first = first_scale(f.c.m, f.tile, 0), count = size_t(f.blocks) * kTileRows;
  for (size_t i = threadIdx.x * (kLineBytes / 2); i < count; i += FewRows<T>::kThreads * (kLineBytes / 2)) {
    prefetch(f.c.m.scales + first + i);
    if (f.c.m.minimums != nullptr) prefetch(f.c.m.minimums + first + i);
    if (f.c.m.zero_points != nullptr) prefetch(f.c.m.zero_points + first + i);
  }
}

template <int Bits, int T>
__global__ void __launch_bounds__(FewRows<T>::kThreads, 3)
linear_few(const FewCall c) {
  constexpr int kDepth = FewRows<T>::kDepth, kValues = 32 / Bits;  // of a row in a group
  const int per_head = tiles_per_head(c.m), tile = int(blockIdx.x);
  FewTile<T> f{c, plan_few<T>(c.m), tile, tile / per_head, blocks_of(c.m), nullptr, nullptr};
  f.products = reinterpret_cast<Product*>(shared_memory());
  f.middles = reinterpret_cast<float*>(f.products + 2 * T * f.p.chunk_blocks * kTileRows);
  const int chunks = int(divide_up(f.blocks, f.p.chunk_blocks)), last_group = f.blocks * f.p.groups - 1;
  const int8_t* activations = c.a.codes + size_t(f.head) * c.m.k;
  const bool folds = threadIdx.x < T * kTileRows;
  const int warp = int(threadIdx.x) / kWarp;

  Words4 w[kDepth], next[kDepth];
  int sums[T][4] = {};
  float y = 0.0f;
  load_steps(f, 0, 0, next);
  prefetch_scales(f);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    for (int begin = 0; begin < f.p.chunk_steps; begin += kDepth) {
      for (int d = 0; d < kDepth; ++d) w[d] = next[d];
      const bool same = begin + kDepth < f.p.chunk_steps;
      load_steps(f, same ? chunk : chunk + 1, same ? begin + kDepth : 0, next);
YOUTU_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int group = group_of<T>(f.p, chunk, begin + d);
        const int8_t* from = activations + (group < last_group ? group : last_group) * kValues;
YOUTU_UNROLL
        for (int t = 0; t < T; ++t) add_products<Bits>(w[d], from + size_t(f.row(t)) * c.m.heads * c.m.k, sums[t]);
        if (((begin + d + 1) & (f.p.unit_steps - 1)) != 0) continue;
        end_unit(f, chunk, ((begin + d) >> f.p.step_shift) * FewRows<T>::kWarps + warp, sums);
YOUTU_UNROLL
        for (int t = 0; t < T; ++t) sums[t][0] = sums[t][1] = sums[t][2] = sums[t][3] = 0;
      }
    }
    __syncthreads();
    if (folds) y = fold_chunk(f, chunk, y);
  }
  const int t = int(threadIdx.x) / kTileRows, column = tile % per_head * kTileRows + int(threadIdx.x) % kTileRows;
  if (folds && t < c.rows && column < c.m.rows)
    c.y[size_t(t) * c.m.heads * c.m.rows + size_t(f.head) * c.m.rows + column] = y;
}

}  // namespace youtu::cuda
