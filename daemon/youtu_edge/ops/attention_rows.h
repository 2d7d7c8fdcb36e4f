// Row operations around attention: rotating queries, storing keys and values, merging and writing outputs.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace youtu::YOUTU_ISA {

// Rotates channels [rope_offset, rope_offset + 2 * rope_half) of one head in place.
//
//   halves:       pairs (i, i + rope_half)        interleaved: pairs (2i, 2i + 1)
static void rotate(const AttentionCall& c, float* row, int position) {
  if (c.cos == nullptr) return;
  const float* cos = c.cos + size_t(position) * c.rope_half;
  const float* sin = c.sin + size_t(position) * c.rope_half;
  float* x = row + c.rope_offset;
  // (a, b) -> (a cos - b sin, b cos + a sin); the second product is rounded, the first one is part of an fma.
  if (c.interleaved) {
    for (int i = 0; i < c.rope_half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = fused(a, cos[i], 0.0f - b * sin[i]);
      x[2 * i + 1] = fused(b, cos[i], a * sin[i]);
    }
    return;
  }
  float* y = x + c.rope_half;
  int i = 0;
  for (; i + kWidth <= c.rope_half; i += kWidth) {
    const V a = load(x + i), b = load(y + i), cosine = load(cos + i), sine = load(sin + i);
    store(x + i, fma(a, cosine, splat(0.0f) - b * sine));
    store(y + i, fma(b, cosine, a * sine));
  }
  for (; i < c.rope_half; ++i) {
    const float a = x[i], b = y[i];
    x[i] = fused(a, cos[i], 0.0f - b * sin[i]);
    y[i] = fused(b, cos[i], a * sin[i]);
  }
}

template <class T>
static void narrow_row(const float* row, int width, T* target) {
  int i = 0;
  for (; i + kWidth <= width; i += kWidth) store(target + i, load(row + i));
  for (; i < width; ++i) narrow(row[i], target + i);
}

template <class T>
static void store_token_as(const AttentionCall& c, size_t token, int position, size_t slot) {
  // Wider heads were rejected before.
  float row[kMaxWidth];
  for (int g = 0; g < c.kv_heads; ++g) {
    __builtin_memcpy(row, c.key + token * c.key_stride + size_t(g) * c.width, c.width * sizeof(float));
    rotate(c, row, position);
    narrow_row(row, c.width, static_cast<T*>(c.key_cache) + (slot * c.kv_heads + g) * c.width);
    if (c.latent) continue;
    narrow_row(c.value + token * c.value_stride + size_t(g) * c.value_width, c.value_width,
               static_cast<T*>(c.value_cache) + (slot * c.kv_heads + g) * c.value_width);
  }
}

static void store_token(const AttentionCall& c, size_t token, int position, size_t slot) {
  c.half_cache ? store_token_as<half>(c, token, position, slot) : store_token_as<float>(c, token, position, slot);
}

static size_t rows_per_head(const AttentionTask& t) { return size_t(t.token_end - t.token_begin) * t.group; }
static size_t rows_of(const AttentionTask& t) { return rows_per_head(t) * (t.kv_end - t.kv_begin); }

struct RowOwner {
  size_t token, head;
};
static RowOwner owner(const AttentionCall& c, const AttentionTask& t, size_t row) {
  const size_t per_head = rows_per_head(t);
  return {t.token_begin + row % per_head / t.group,
          (t.kv_begin + row / per_head) * c.group + t.group_begin + row % t.group};
}

// Rotated, scaled, and padded with zeros to the stride.
static void load_query_rows(const AttentionCall& c, const AttentionTask& t, float* rows, size_t stride) {
  for (size_t r = 0; r < rows_of(t); ++r, rows += stride) {
    const RowOwner o = owner(c, t, r);
    __builtin_memcpy(rows, c.query + o.token * c.query_stride + o.head * c.width, c.width * sizeof(float));
    for (size_t i = c.width; i < stride; ++i) rows[i] = 0.0f;
    rotate(c, rows, t.position + int(o.token) - t.token_begin);
    for (size_t i = 0; i < stride; i += kWidth) store(rows + i, load(rows + i) * splat(c.scale));
  }
}

static void store_scaled(const float* sums, int width, float factor, float* target) {
  int i = 0;
  for (; i + kWidth <= width; i += kWidth) store(target + i, load(sums + i) * splat(factor));
  for (; i < width; ++i) target[i] = sums[i] * factor;
}

static float* output_row(const AttentionCall& c, const RowOwner& o) {
  return c.output + (o.token * c.heads + o.head) * c.value_width;
}

// The softmax state of a row: weighted sums of values, the maximum score and the sum of exp(score - maximum).
struct Seen {
  float* sums;
  float *maximum, *total;
};

// Merges the state of a later segment.
static void fold(const Seen& row, const float* sums, float maximum, float total, int width) {
  if (total == 0.0f) return;
  if (*row.total == 0.0f) {
    std::memcpy(row.sums, sums, width * sizeof(float));
    *row.maximum = maximum;
    *row.total = total;
    return;
  }
  const float highest = maximum > *row.maximum ? maximum : *row.maximum;
  float factors[kWidth], others[kWidth];
  store(factors, exp(splat(*row.maximum - highest)));
  store(others, exp(splat(maximum - highest)));
  const float keep = factors[0], take = others[0];
  int i = 0;
  for (; i + kWidth <= width; i += kWidth)
    store(row.sums + i, fma(load(row.sums + i), splat(keep), load(sums + i) * splat(take)));
  for (; i < width; ++i) row.sums[i] = fused(row.sums[i], keep, sums[i] * take);
  *row.total = fused(*row.total, keep, total * take);
  *row.maximum = highest;
}

// A row without visible keys is zero.
static void store_mean(const float* sums, float total, int width, float* target) {
  store_scaled(sums, width, total == 0.0f ? 0.0f : 1.0f / total, target);
}

static void merge(const AttentionCall& c, const AttentionTask& t, const float* partials, size_t count, size_t row_begin,
                  size_t row_end) {
  float sums[kMaxWidth];
  const int width = c.value_width;
  for (size_t r = row_begin; r < row_end; ++r) {
    float maximum = 0.0f, total = 0.0f;
    for (size_t s = 0; s < count; ++s) {
      const float* p = partials + s * t.partial_stride + r * (width + 2);
      fold({sums, &maximum, &total}, p, p[width], p[width + 1], width);
    }
    if (total == 0.0f) std::memset(sums, 0, width * sizeof(float));
    store_mean(sums, total, width, output_row(c, owner(c, t, r)));
  }
}

}  // namespace youtu::YOUTU_ISA
