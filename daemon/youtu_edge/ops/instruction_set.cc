// Selects the instruction set: the best one that this processor supports, unless a test selects another.
#include <atomic>
#include <cstring>
#include <string>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace youtu {

#if defined(__x86_64__)
namespace avx512_vnni { extern const Kernels table; }
namespace avx_vnni { extern const Kernels table; }
namespace x86_64_v3 { extern const Kernels table; }
#elif defined(__aarch64__)
namespace armv8_2 { extern const Kernels table; }
#endif
namespace portable { extern const Kernels table; }

namespace {

struct Candidate {
  const Kernels* kernels;
  bool usable;
};

#if defined(__x86_64__)
bool has_avx2() {
  unsigned a, b, c, d;
  const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
  return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx_vnni() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

// Best first.
const Candidate* candidates(size_t* count) {
  static const Candidate list[] = {
#if defined(__x86_64__)
      {&avx512_vnni::table, has_avx2() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")},
      {&avx_vnni::table, has_avx2() && has_avx_vnni()},
      {&x86_64_v3::table, has_avx2()},
#elif defined(__aarch64__) && defined(__linux__)
      {&armv8_2::table, (getauxval(AT_HWCAP) & (HWCAP_ASIMDHP | HWCAP_ASIMDDP)) == (HWCAP_ASIMDHP | HWCAP_ASIMDDP)},
#endif
      {&portable::table, true},
  };
  *count = sizeof list / sizeof list[0];
  return list;
}

const Kernels* best() {
  size_t count;
  const Candidate* list = candidates(&count);
  while (!list->usable) ++list;
  return list->kernels;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{best()};
  return kernels;
}

}  // namespace

const Kernels& kernels() { return *chosen().load(std::memory_order_relaxed); }

}  // namespace youtu

#define YOUTU_EXPORT extern "C" __attribute__((visibility("default")))

YOUTU_EXPORT const char* youtu_edge_ops_isa() { return youtu::kernels().name; }

// The names that youtu_edge_ops_select_isa() takes on this processor, best first, separated by commas.
YOUTU_EXPORT const char* youtu_edge_ops_available_isas() {
  static const std::string names = [] {
    std::string text;
    size_t count;
    const youtu::Candidate* list = youtu::candidates(&count);
    for (size_t i = 0; i < count; ++i)
      if (list[i].usable) text += (text.empty() ? "" : ",") + std::string(list[i].kernels->name);
    return text;
  }();
  return names.c_str();
}

// For tests and measurements. Returns 0, or -1 if this processor does not support it; applies from the next call.
YOUTU_EXPORT int youtu_edge_ops_select_isa(const char* name) {
  size_t count;
  const youtu::Candidate* list = youtu::candidates(&count);
  for (size_t i = 0; i < count; ++i)
    if (list[i].usable && std::strcmp(list[i].kernels->name, name) == 0) {
      youtu::chosen().store(list[i].kernels);
      return 0;
    }
  return -1;
}
