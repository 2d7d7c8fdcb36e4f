// What enters and leaves attention row by row: rotated queries, cached keys and values, outputs.
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
  if (c.interleaved) {
    for (int i = 0; i < c.rope_half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cos[i] - b * sin[i];
      x[2 * i + 1] = b * cos[i] + a * sin[i];
    }
    return;
  }
  float* y = x + c.rope_half;
  int i = 0;
  for (; i + kWidth <= c.rope_half; i += kWidth) {
    const V a = load(x + i), b = load(y + i), cosine = load(cos + i), sine = load(sin + i);
    store(x + i, a * cosine - b * sine);
    store(y + i, b * cosine + a * sine);
  }
  for (; i < c.rope_half; ++i) {
    const float a = x[i], b = y[i];
    x[i] = a * cos[i] - b * sin[i];
    y[i] = b * cos[i] + a * sin[i];
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
  // A head wider than this was refused before.
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

// Row r of a task is kv head r / per_head, token r % per_head / group, head r % group of that kv head.
struct RowOwner {
  size_t token, head;
};
static RowOwner owner(const AttentionCall& c, const AttentionTask& t, size_t row) {
  const size_t per_head = size_t(t.token_end - t.token_begin) * c.group;
  return {t.token_begin + row % per_head / c.group, (t.kv_begin + row / per_head) * c.group + row % c.group};
}

// Rotated, scaled, and padded with zeros to the stride.
static void load_query_rows(const AttentionCall& c, const AttentionTask& t, float* rows, size_t stride) {
  const size_t count = size_t(t.token_end - t.token_begin) * c.group * (t.kv_end - t.kv_begin);
  for (size_t r = 0; r < count; ++r, rows += stride) {
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

// A row that saw no key at all is zero.
static void store_output_rows(const AttentionCall& c, const AttentionTask& t, const float* sums, size_t stride,
                              const float* total) {
  const size_t count = size_t(t.token_end - t.token_begin) * c.group * (t.kv_end - t.kv_begin);
  for (size_t r = 0; r < count; ++r)
    store_scaled(sums + r * stride, c.value_width, total[r] == 0.0f ? 0.0f : 1.0f / total[r],
                 output_row(c, owner(c, t, r)));
}

static void store_partial_rows(const AttentionCall& c, size_t rows, const float* sums, size_t stride,
                               const float* maximum, const float* total, float* partial) {
  for (size_t r = 0; r < rows; ++r, partial += c.value_width + 2) {
    store_scaled(sums + r * stride, c.value_width, 1.0f, partial);
    partial[c.value_width] = maximum[r];
    partial[c.value_width + 1] = total[r];
  }
}

static void merge(const AttentionCall& c, const AttentionTask& t, const float* partials, size_t count, size_t stride) {
  const size_t rows = size_t(t.token_end - t.token_begin) * c.group * (t.kv_end - t.kv_begin);
  const int width = c.value_width;
  for (size_t r = 0; r < rows; ++r, partials += width + 2) {
    float maximum = -__builtin_inff(), total = 0.0f;
    for (size_t s = 0; s < count; ++s) {
      const float* p = partials + s * stride;
      if (p[width + 1] != 0.0f && p[width] > maximum) maximum = p[width];
    }
    float* target = output_row(c, owner(c, t, r));
    for (int i = 0; i < width; ++i) target[i] = 0.0f;
    for (size_t s = 0; s < count; ++s) {
      const float* p = partials + s * stride;
      if (p[width + 1] == 0.0f) continue;
      float factor[kWidth];
      store(factor, exp(splat(p[width] - maximum)));
      total += p[width + 1] * factor[0];
      int i = 0;
      for (; i + kWidth <= width; i += kWidth)
        store(target + i, fma(load(p + i), splat(factor[0]), load(target + i)));
      for (; i < width; ++i) target[i] += p[i] * factor[0];
    }
    store_scaled(target, width, total == 0.0f ? 0.0f : 1.0f / total, target);
  }
}

}  // namespace youtu::YOUTU_ISA
