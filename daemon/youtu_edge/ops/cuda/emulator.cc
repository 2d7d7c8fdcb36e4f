#include "emulator.h"

#include <algorithm>
#include <csetjmp>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <ucontext.h>

#include "device.h"

namespace youtu::cuda {

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStackBytes = 64 * 1024, kMostThreads = 1024, kMostShared = 227 * 1024;
constexpr int kLaunchFailure = 719;  // cudaErrorLaunchFailure
constexpr int kShuffled = 2;         // orders from here on are seeds

enum class Wait { kNothing, kWarp, kBlock, kEnded };

// What the 32 lanes of a warp give each other. Nobody can be more than one exchange ahead: two buffers take turns.
struct Warp {
  uint64_t slots[2][kWarp];
  uint32_t fragments[2][kWarp][6];
};

struct Thread {
  jmp_buf state;
  Wait waits;
  unsigned exchanges;
};

int order = 0, error = 0;
std::string failure;
const std::function<void()>* body;
std::vector<Thread> threads(kMostThreads);
std::vector<char> stacks(kMostThreads * kStackBytes);
std::vector<Warp> warps(kMostThreads / kWarp);
alignas(1024) char shared[kMostShared];
size_t current, created = 0;
jmp_buf scheduler;

// Back to the scheduler until the others have come.
void wait_for(Wait what) {
  threads[current].waits = what;
  if (_setjmp(threads[current].state) == 0) _longjmp(scheduler, 1);
}

void run_threads() {
  for (;; wait_for(Wait::kEnded)) try {
      (*body)();
    } catch (const std::exception& reason) {
      failure = reason.what();
    }
}

// A coroutine, which stops before its first instruction and then is one thread after another.
void create(size_t index) {
  ucontext_t context, here;
  getcontext(&context);
  context.uc_stack.ss_sp = stacks.data() + index * kStackBytes;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  static ucontext_t* back;
  back = &here;
  makecontext(&context, +[] {
    if (_setjmp(threads[current].state) == 0) setcontext(back);
    run_threads();
  }, 0);
  current = index;
  swapcontext(&here, &context);
}

void resume(size_t index) {
  current = index;
  threadIdx.x = unsigned(index);
  if (_setjmp(scheduler) == 0) _longjmp(threads[index].state, 1);
}

std::vector<size_t> turns(size_t count) {
  std::vector<size_t> result(count);
  std::iota(result.begin(), result.end(), 0);
  if (order == 1) std::reverse(result.begin(), result.end());
  if (order >= kShuffled) {
    static std::mt19937 random;
    random.seed(unsigned(order));
    std::shuffle(result.begin(), result.end(), random);
  }
  return result;
}

// All of [begin, end) that have not ended wait for this: they may go on.
bool release(size_t begin, size_t end, Wait what, bool ended_count) {
  bool some = false;
  for (size_t i = begin; i < end; ++i) {
    if (threads[i].waits == Wait::kEnded && ended_count) continue;
    if (threads[i].waits != what) return false;
    some = true;
  }
  for (size_t i = begin; i < end && some; ++i)
    if (threads[i].waits == what) threads[i].waits = Wait::kNothing;
  return some;
}

// As far as it comes without the other warps: whatever they still read may be overwritten by it.
void run_warp(size_t begin, const std::vector<size_t>& lanes) {
  do {
    for (size_t lane : lanes)
      if (threads[begin + lane].waits == Wait::kNothing) resume(begin + lane);
  } while (failure.empty() && release(begin, begin + kWarp, Wait::kWarp, false));
}

void run_block(size_t count, size_t shared_bytes) {
  std::memset(shared, 0xff, shared_bytes);
  for (; created < count; ++created) create(created);
  for (size_t i = 0; i < count; ++i) {
    threads[i].waits = Wait::kNothing;
    threads[i].exchanges = 0;
  }
  const std::vector<size_t> warps_in_turn = turns(count / kWarp), lanes_in_turn = turns(kWarp);
  do {
    for (size_t warp : warps_in_turn) run_warp(warp * kWarp, lanes_in_turn);
  } while (failure.empty() && release(0, count, Wait::kBlock, true));
  for (size_t i = 0; i < count && failure.empty(); ++i)
    if (threads[i].waits != Wait::kEnded) failure = "thread " + std::to_string(i) + " waits for threads that do not come";
}

float widen_bits(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  float magnitude = exponent ? std::ldexp(float(1024 + fraction), exponent - 25) : std::ldexp(float(fraction), -24);
  if (exponent == 31) magnitude = fraction ? NAN : INFINITY;
  return half & 0x8000 ? -magnitude : magnitude;
}

template <class T>
T aligned(const void* p) {
  check_alignment(p, alignof(T));
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace

void __syncthreads() { wait_for(Wait::kBlock); }

char* shared_memory() { return shared; }

const uint64_t* exchange(uint64_t value) {
  const size_t lane = current % kWarp;
  uint64_t* slots = warps[current / kWarp].slots[threads[current].exchanges++ % 2];
  slots[lane] = value;
  wait_for(Wait::kWarp);
  return slots;
}

// The fragments of all lanes: four words of a, two of b.
using Fragments = const uint32_t (*)[6];
Fragments exchange_fragments(const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const size_t lane = current % kWarp;
  uint32_t(*given)[6] = warps[current / kWarp].fragments[threads[current].exchanges++ % 2];
  std::memcpy(given[lane], a, sizeof a);
  std::memcpy(given[lane] + 4, b, sizeof b);
  wait_for(Wait::kWarp);
  return given;
}

void multiply_fragments(int32_t (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const size_t lane = current % kWarp;
  const Fragments given = exchange_fragments(a, b);
  // Out of the fragments of all lanes: a whole row of a, a whole column of b.
  const auto byte = [](uint32_t word, int i) { return int(int8_t(word >> 8 * i)); };
  for (int i = 0; i < 4; ++i) {
    const int row = int(lane) / 4 + (i < 2 ? 0 : 8), column = int(lane) % 4 * 2 + i % 2;
    for (int k = 0; k < 32; ++k) {
      const int a_lane = row % 8 * 4 + k % 16 / 4, a_word = (row < 8 ? 0 : 1) + (k < 16 ? 0 : 2);
      const int b_lane = column * 4 + k % 16 / 4, b_word = k < 16 ? 4 : 5;
      sums[i] += byte(given[a_lane][a_word], k % 4) * byte(given[b_lane][b_word], k % 4);
    }
  }
}

// The sum of the 16 products and of the old sum is rounded once. Tensor cores may round each addition, toward zero.
void multiply_halves(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const size_t lane = current % kWarp;
  const Fragments given = exchange_fragments(a, b);
  const auto half = [](uint32_t word, int i) { return double(widen(uint16_t(word >> 16 * i))); };
  for (int i = 0; i < 4; ++i) {
    const int row = int(lane) / 4 + (i < 2 ? 0 : 8), column = int(lane) % 4 * 2 + i % 2;
    double sum = sums[i];
    for (int k = 0; k < 16; ++k) {
      const int a_lane = row % 8 * 4 + k % 8 / 2, a_word = (row < 8 ? 0 : 1) + (k < 8 ? 0 : 2);
      const int b_lane = column * 4 + k % 8 / 2, b_word = k < 8 ? 4 : 5;
      sum += half(given[a_lane][a_word], k % 2) * half(given[b_lane][b_word], k % 2);
    }
    sums[i] = float(sum);
  }
}

float widen(uint16_t half) {
  static const std::vector<float> values = [] {
    std::vector<float> all(1 << 16);
    for (size_t i = 0; i < all.size(); ++i) all[i] = widen_bits(uint16_t(i));
    return all;
  }();
  return values[half];
}

uint16_t narrow(float x) {
  uint32_t bits = uint32_t(bits_of(x));
  const uint16_t sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return 0x7fff;
  if (bits >= 0x47800000) return sign | 0x7c00;  // from 65536 on, infinity
  if (bits < 0x38800000) {                       // subnormal: adding 0.5 rounds at 2^-24
    const float rounded = float_of(int32_t(bits)) + 0.5f;
    return sign | uint16_t(bits_of(rounded) - 0x3f000000);
  }
  bits += 0xfff + (bits >> 13 & 1);  // to nearest, ties to even
  return sign | uint16_t((bits - 0x38000000) >> 13);
}

int dot4(int sum, uint32_t a, uint32_t b) {
  for (int i = 0; i < 32; i += 8) sum += int(int8_t(a >> i)) * int(int8_t(b >> i));
  return sum;
}

void check_alignment(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) throw std::runtime_error("a load is not aligned");
}
Words4 load16(const void* p) { return aligned<Words4>(p); }
Words2 load8(const void* p) { return aligned<Words2>(p); }
uint32_t load4(const void* p) { return aligned<uint32_t>(p); }
void prefetch(const void* p) { (void)*static_cast<const volatile char*>(p); }

void emulate(dim3 grid, unsigned count, size_t shared_bytes, const std::function<void()>& kernel) {
  if (error != 0) return;
  if (count == 0 || count > kMostThreads || count % kWarp != 0 || shared_bytes > kMostShared) {
    failure = "a launch of " + std::to_string(count) + " threads with " + std::to_string(shared_bytes) + " bytes";
    error = kLaunchFailure;
    return;
  }
  body = &kernel;
  gridDim = grid;
  blockDim = count;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = dim3(x, y, z);
        failure.clear();
        run_block(count, shared_bytes);
        if (failure.empty()) continue;
        error = kLaunchFailure;
        created = 0;  // some are in the middle of the kernel
        return;
      }
}

int last_error() {
  if (const int fault = emulated_fault()) return fault;
  const int last = error;
  error = 0;
  return last;
}

}  // namespace youtu::cuda

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

// In which order warps, and the lanes of a warp, run between barriers: 0 ascending, 1 descending, from 2 on shuffled by this seed.
YOUTU_EXPORT void youtu_emulator_set_order(int order) { youtu::cuda::order = order; }
// Why the last launch failed; empty if it did not.
YOUTU_EXPORT const char* youtu_emulator_failure() { return youtu::cuda::failure.c_str(); }
