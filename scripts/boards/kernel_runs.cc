// Runs one kernel of the operator library once, between two markers for the instruction trace, or compares all kernels of
// Linear with the portable ones:
//
//   kernel_runs linear BITS BLOCK ROWS K N HEADS        a matrix of N rows and K columns per head
//   kernel_runs attention latent|separate HEADS KV_HEADS WIDTH VALUE_WIDTH KEYS TOKENS
//   kernel_runs check                                   prints the number of results compared; status 1 if any differs
//
// It is linked without the rest of the library; it calls only the tables of kernels.h.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels.h"

namespace youtu {
namespace armv8_2 { extern const Kernels table; }
namespace portable { extern const Kernels table; }
}  // namespace youtu

extern "C" {
__attribute__((noinline)) void trace_begin() { asm volatile("" ::: "memory"); }
__attribute__((noinline)) void trace_end() { asm volatile("" ::: "memory"); }
}

namespace {

using namespace youtu;

class Random {
 public:
  uint32_t bits() { return state_ = state_ * 1664525u + 1013904223u, state_ >> 8; }
  float value() { return float(bits() % 2001) / 1000.0f - 1.0f; }

 private:
  uint32_t state_ = 1;
};

constexpr uint16_t kSmallScale = 0x1c00;  // 2^-8 in float16; stays finite when random bits are added

enum class Zero { kMiddle, kPoints, kMinimums };
enum class Values { kRandom, kLowest, kHighest };  // the last two give the largest possible sums

// A matrix of random codes, and some rows of eight-bit activations.
class LinearData {
 public:
  LinearData(int bits, size_t block, size_t rows, size_t k, size_t n, size_t heads, Zero zero, Values values)
      : rows_(rows), tiles_(heads * n / kTileRows) {
    Random random;
    const auto drawn = [&](uint32_t most) {
      return values == Values::kRandom ? random.bits() % (most + 1) : values == Values::kLowest ? 0 : most;
    };
    const size_t blocks = k / block, prefetched = 4096;
    codes_.resize(tiles_ * k * kTileRows * bits / 8 + prefetched);
    for (uint8_t& code : codes_) code = uint8_t(drawn(255));
    scales_.resize(tiles_ * blocks * kTileRows);
    for (uint16_t& scale : scales_) scale = uint16_t(kSmallScale + random.bits() % 512);
    minimums_ = scales_;
    for (uint16_t& minimum : minimums_) minimum = uint16_t(minimum | 0x8000);
    zeros_.resize(scales_.size());
    const uint32_t last = (1u << bits) - 1, extreme = values == Values::kLowest ? last : 0;  // far from the codes
    for (uint8_t& point : zeros_) point = uint8_t(values == Values::kRandom ? drawn(last) : extreme);
    std::vector<float> x(rows * heads * k);
    for (float& value : x) value = values == Values::kRandom ? random.value() : 1.0f;
    activations_.resize(x.size());
    activation_scales_.resize(rows * heads * blocks);
    negative_sums_.resize(activation_scales_.size());
    totals_.resize(activation_scales_.size());
    for (size_t row = 0; row < rows; row += kRowGroup) {
      const size_t values = row * heads * k, at = row * heads * blocks;
      portable::table.quantise(x.data() + values, rows - row < kRowGroup ? rows - row : kRowGroup, heads * k, block,
                               activations_.data() + values, activation_scales_.data() + at, negative_sums_.data() + at,
                               totals_.data() + at);
    }
    call_ = {bits, block, k, heads, tiles_ / heads, codes_.data(), scales_.data(),
             zero == Zero::kPoints ? zeros_.data() : nullptr, zero == Zero::kMinimums ? minimums_.data() : nullptr,
             activations_.data(), activation_scales_.data(), negative_sums_.data(), totals_.data()};
  }

  std::vector<float> multiply(const Kernels& kernels) const {
    std::vector<float> y(rows_ * tiles_ * kTileRows);
    trace_begin();
    kernels.multiply(call_, {0, tiles_, 0, rows_}, y.data());
    trace_end();
    return y;
  }

 private:
  size_t rows_, tiles_;
  std::vector<uint8_t> codes_, zeros_;
  std::vector<uint16_t> scales_, minimums_;
  std::vector<int8_t> activations_;
  std::vector<float> activation_scales_, negative_sums_, totals_;
  LinearCall call_;
};

size_t number(const char* text) { return std::strtoul(text, nullptr, 10); }

int run_linear(char** a) {
  const LinearData data(int(number(a[0])), number(a[1]), number(a[2]), number(a[3]), number(a[4]), number(a[5]),
                        Zero::kPoints, Values::kRandom);
  std::printf("%g\n", data.multiply(armv8_2::table)[0]);
  return 0;
}

int run_attention(char** a) {
  const bool latent = std::string(a[0]) == "latent";
  const int heads = int(number(a[1])), kv_heads = int(number(a[2])), width = int(number(a[3]));
  const int value_width = int(number(a[4])), keys = int(number(a[5])), tokens = int(number(a[6])), page = 64;
  Random random;
  const auto floats = [&](size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = random.value();
    return values;
  };
  const auto halves = [&](size_t count) {
    std::vector<uint16_t> values(count);
    for (uint16_t& value : values) value = uint16_t(kSmallScale + random.bits() % 4096);
    return values;
  };
  const size_t positions = size_t(keys + page - 1) / page * page;
  std::vector<float> query = floats(size_t(tokens) * heads * width), output(size_t(tokens) * heads * value_width);
  std::vector<uint16_t> cache = halves(positions * kv_heads * width), values = halves(positions * kv_heads * value_width);
  std::vector<int32_t> table(positions / page);
  for (size_t i = 0; i < table.size(); ++i) table[i] = int32_t(i);
  AttentionCall call{};
  call.query = query.data();
  call.query_stride = size_t(heads) * width;
  call.key_cache = cache.data();
  call.value_cache = latent ? cache.data() : values.data();
  call.half_cache = true;
  call.latent = latent;
  call.block_table = table.data();
  call.table_width = table.size();
  call.page_tokens = page;
  call.heads = heads;
  call.kv_heads = kv_heads;
  call.group = heads / kv_heads;
  call.width = width;
  call.value_width = value_width;
  call.scale = 0.1f;
  call.causal = true;
  call.output = output.data();
  AttentionTask task{};
  task.token_end = tokens;
  task.position = keys - tokens;
  task.last_position = keys - 1;
  task.causal = true;
  task.kv_end = kv_heads;
  task.group = call.group;
  task.key_end = keys;
  const size_t rows = size_t(tokens) * heads;
  // As attend_scratch() computes it, with a margin.
  std::vector<float> scratch((rows + 16) * (width + 2 * size_t(value_width) + 64 + kKeyBlock) +
                             kKeyBlock * (size_t(width) + value_width + 64));
  std::vector<float> result(rows * value_width);
  trace_begin();
  armv8_2::table.attend(call, task, scratch.data(), result.data());
  trace_end();
  std::printf("%g\n", result[0]);
  return 0;
}

int check() {
  size_t compared = 0;
  for (int bits : {4, 8})
    for (size_t block : {16, 32, 64, 128, 256})
      for (size_t rows = 1; rows <= 18; ++rows)
        for (Zero zero : {Zero::kMiddle, Zero::kPoints, Zero::kMinimums})
          for (Values values : {Values::kRandom, Values::kLowest, Values::kHighest}) {
            const LinearData data(bits, block, rows, 512, 32, 2, zero, values);
            const std::vector<float> ours = data.multiply(armv8_2::table), expected = data.multiply(portable::table);
            compared += ours.size();
            if (std::memcmp(ours.data(), expected.data(), ours.size() * sizeof(float)) != 0) {
              std::printf("%d bits, block %zu, %zu rows, zero %d, values %d: results differ\n", bits, block, rows,
                          int(zero), int(values));
              return 1;
            }
          }
  std::printf("%zu results have the same bits\n", compared);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "linear" && count == 8) return run_linear(arguments + 2);
  if (what == "attention" && count == 9) return run_attention(arguments + 2);
  if (what == "check" && count == 2) return check();
  std::fprintf(stderr, "kernel_runs linear|attention|check …\n");
  return 2;
}
