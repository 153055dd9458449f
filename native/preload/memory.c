// Loaded into QEMU in front of the C library: lays the pages of branches over a template's memory.
//
// QEMU maps its guest's memory from one file. A branch is that file with some pages replaced, which
// lie in other files at the same offset. So after QEMU's own mapping those ranges are mapped over
// it: nothing is copied, children share the pages, and devices find the branch's memory when their
// state is loaded. Without a C library of its own: two system calls are all it needs.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// As dev.forkd.engine.vm.Machine has them.
enum { MEMORY_FD = 11, MAP_FD = 36, FIRST_PAGES_FD = 40, PAGE = 4096 };

struct entry {
  uint64_t first, count, file;
};

struct map {
  char magic[8];
  uint64_t count;
  struct entry entries[];
};

// A name of its own in glibc, which QEMU uses; musl's headers make it a macro.
#undef mmap64
int *__errno_location(void);
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);

static long call(long number, long a, long b, long c, long d, long f, long g) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = f;
  register long r9 __asm__("r9") = g;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static long map_at(uintptr_t at, size_t length, int protection, int flags, int fd, off_t offset) {
  return call(SYS_mmap, (long)at, (long)length, protection, flags, fd, offset);
}

static int is_memory(int fd) {
  struct stat given, memory;
  return fd >= 0 && call(SYS_fstat, fd, (long)&given, 0, 0, 0, 0) == 0 &&
         call(SYS_fstat, MEMORY_FD, (long)&memory, 0, 0, 0, 0) == 0 &&
         given.st_dev == memory.st_dev && given.st_ino == memory.st_ino;
}

// 0, or a negative error number.
static long lay_over(uintptr_t start, size_t length, int protection) {
  struct stat about;
  if (call(SYS_fstat, MAP_FD, (long)&about, 0, 0, 0, 0) != 0) return 0;
  long at = map_at(0, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, MAP_FD, 0);
  if (at < 0 && at > -PAGE) return at;
  const struct map *map = (const struct map *)at;
  long state = 0;
  if (sizeof *map + map->count * sizeof *map->entries != (uint64_t)about.st_size) state = -EINVAL;
  for (uint64_t i = 0; i < map->count && state == 0; i++) {
    struct entry entry = map->entries[i];
    if (entry.first + entry.count > length / PAGE) return -EINVAL;
    long got = map_at(start + entry.first * PAGE, entry.count * PAGE, protection,
                      MAP_PRIVATE | MAP_FIXED, FIRST_PAGES_FD + (int)entry.file,
                      (off_t)(entry.first * PAGE));
    if (got < 0 && got > -PAGE) state = got;
  }
  call(SYS_munmap, at, about.st_size, 0, 0, 0, 0);
  return state;
}

#ifdef PREFETCH_FILE
// Only in the benchmark bench/prefetch.py: maps ahead what a first child had touched.
static void prefetch(uintptr_t start) {
  struct range {
    uint64_t first, count, advice;
  } ranges[64];
  long got, fd = call(SYS_open, (long)PREFETCH_FILE, 0, 0, 0, 0, 0);
  while (fd >= 0 && (got = call(SYS_read, fd, (long)ranges, sizeof ranges, 0, 0, 0)) > 0)
    for (long i = 0; i < got / (long)sizeof *ranges; i++)
      call(SYS_madvise, (long)(start + ranges[i].first * PAGE), (long)(ranges[i].count * PAGE),
           (long)ranges[i].advice, 0, 0, 0);
  if (fd >= 0) call(SYS_close, fd, 0, 0, 0, 0, 0);
}
#endif

__attribute__((visibility("default"))) void *mmap64(void *at, size_t length, int protection,
                                                    int flags, int fd, off_t offset) {
  long result = map_at((uintptr_t)at, length, protection, flags, fd, offset);
  int failed = result < 0 && result > -PAGE;
  if (!failed && (flags & MAP_PRIVATE) && offset == 0 && is_memory(fd)) {
    long state = lay_over((uintptr_t)result, length, protection);
    if (state < 0) failed = 1, result = state;
#ifdef PREFETCH_FILE
    prefetch((uintptr_t)result);
#endif
  }
  if (!failed) return (void *)result;
  *__errno_location() = (int)-result;
  return MAP_FAILED;
}

__attribute__((visibility("default"))) void *mmap(void *at, size_t length, int protection,
                                                  int flags, int fd, off_t offset) {
  return mmap64(at, length, protection, flags, fd, offset);
}

// QEMU keeps its guest's memory from copies of the process; a branch is made from such a copy.
__attribute__((visibility("default"))) int madvise(void *at, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  long result = call(SYS_madvise, (long)at, (long)length, advice, 0, 0, 0);
  if (result == 0) return 0;
  *__errno_location() = (int)-result;
  return -1;
}
