// Symbols of glibc 2.32 and newer that the compiler's own static libraries need, for a library that must load with an older glibc.
// All are hidden: part of the library, and not exported.
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

extern "C" {

// Since 2.32: whether shared_ptr may count without atomics. Never here: the library has worker threads from the first call on.
char __libc_single_threaded = 0;

// Since 2.36: for std::random_device, which is linked in with strings and never called.
std::uint32_t arc4random() {
  std::uint32_t value;
  if (getentropy(&value, sizeof value) != 0) std::abort();
  return value;
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE
namespace {

struct Search {
  std::uintptr_t address;
  dl_find_object* found;
};

int look_at(dl_phdr_info* object, std::size_t, void* search_pointer) {
  auto& search = *static_cast<Search*>(search_pointer);
  const ElfW(Phdr)* unwinding = nullptr;
  bool is_inside = false;
  for (int index = 0; index < object->dlpi_phnum; ++index) {
    const ElfW(Phdr)& header = object->dlpi_phdr[index];
    if (header.p_type == PT_GNU_EH_FRAME) unwinding = &header;
    if (header.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = object->dlpi_addr + header.p_vaddr;
    is_inside |= search.address >= begin && search.address < begin + header.p_memsz;
  }
  if (!is_inside) return 0;  // continue with the next object
  search.found->dlfo_eh_frame = unwinding ? reinterpret_cast<void*>(object->dlpi_addr + unwinding->p_vaddr) : nullptr;
  return unwinding ? 1 : -1;
}

}  // namespace

// Since 2.35: the unwinder's lookup of the tables of the code that an exception passes. It only reads dlfo_eh_frame.
int _dl_find_object(void* address, dl_find_object* found) {
  Search search{reinterpret_cast<std::uintptr_t>(address), found};
  return dl_iterate_phdr(look_at, &search) == 1 ? 0 : -1;
}
#endif

}  // extern "C"
