// The two processes are forks of one zygote, so most of their memory is the same pages still: what
// has another page frame is copied, what lies elsewhere is mapped there. `from` may be hostile:
// nothing of it is believed, it is only read; and `to` gets nothing that it could not have made
// itself.
#define _GNU_SOURCE
#include "transplant.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "regions.h"
#include "remote.h"
#include "sys.h"

#define PAGE UINT64_C(4096)
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)
#define OF_FILE (UINT64_C(1) << 61) // or of shared memory
#define FRAME ((UINT64_C(1) << 55) - 1)

enum { CHUNK = 512, ENTRIES = 8192 };

// What is to be done with a stretch of addresses.
enum action { KEEP, REMOVE, MAP, PROTECT };

struct span {
  uint64_t start, end;
  const struct region *from, *to; // NULL: not mapped there
  enum action action;
};

struct work {
  pid_t from, to;
  struct regions from_regions, to_regions;
  int from_memory, to_memory, from_pages, to_pages;
  uint64_t *from_entries, *to_entries; // of the page maps
  char *bytes;
  struct transplanted *told;
};

static int open_of(pid_t pid, const char *what, int flags, struct error *e) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
  int fd = open(path, flags | O_CLOEXEC);
  return fd < 0 ? FAIL_ERRNO(e, "opening %s", path) : fd;
}

static int call(struct work *w, const char *what, long number, const uint64_t arguments[6],
                struct error *e) {
  int64_t result;
  if (remote_call(w->to, number, arguments, &result, e) < 0) return -1;
  w->told->mappings++;
  if (result >= 0 || result < -4095) return 0;
  errno = (int)-result;
  return FAIL_ERRNO(e, "%s at 0x%llx in the new zygote", what, (unsigned long long)arguments[0]);
}

// --- Layout -------------------------------------------------------------------------------------

static bool is_same(const struct region *a, const struct region *b) {
  if (a->kind != b->kind) return false;
  if (a->kind != REGION_FILE) return true;
  // Writable shared memory must not be one with the zygote's.
  if (a->shared != b->shared || (a->shared && ((a->protection | b->protection) & PROT_WRITE)))
    return false;
  return a->device == b->device && a->inode == b->inode &&
         a->offset - a->start == b->offset - b->start;
}

static enum action decide(const struct region *from, const struct region *to) {
  if (!from) return to->kind == REGION_KERNEL || to->kind == REGION_STACK ? KEEP : REMOVE;
  if (from->kind == REGION_KERNEL || (from->kind == REGION_STACK && !to)) return KEEP;
  if (!to || !is_same(from, to)) return MAP;
  return from->protection == to->protection ? KEEP : PROTECT;
}

static uint64_t boundary(const struct regions *r, size_t i, uint64_t at, uint64_t next) {
  if (i == r->count) return next;
  uint64_t edge = at < r->list[i].start ? r->list[i].start : r->list[i].end;
  return edge < next ? edge : next;
}

static const struct region *covering(const struct regions *r, size_t *i, uint64_t at) {
  while (*i < r->count && r->list[*i].end <= at) ++*i;
  return *i < r->count && r->list[*i].start <= at ? &r->list[*i] : NULL;
}

typedef int span_visit(struct work *w, const struct span *s, struct error *e);

// Calls `visit` for each stretch in which neither address space changes its kind.
static int each_span(struct work *w, span_visit *visit, struct error *e) {
  size_t i = 0, j = 0;
  uint64_t at = 0;
  for (;;) {
    const struct region *from = covering(&w->from_regions, &i, at);
    const struct region *to = covering(&w->to_regions, &j, at);
    uint64_t next = boundary(&w->to_regions, j, at, boundary(&w->from_regions, i, at, UINT64_MAX));
    if (next == UINT64_MAX) return 0;
    if (from || to) {
      struct span s = {at, next, from, to, decide(from, to)};
      if (visit(w, &s, e) < 0) return -1;
    }
    at = next;
  }
}

static int arrange(struct work *w, const struct span *s, struct error *e) {
  uint64_t length = s->end - s->start;
  if (s->action == REMOVE)
    return call(w, "munmap", SYS_munmap, (uint64_t[6]){s->start, length}, e);
  if (s->action == PROTECT) {
    uint64_t protection = (uint64_t)s->from->protection;
    return call(w, "mprotect", SYS_mprotect, (uint64_t[6]){s->start, length, protection}, e);
  }
  if (s->action != MAP) return 0;
  // A file's contents as they are: what its name stands for in the new place may be another.
  bool shared = s->from->shared && (s->from->protection & PROT_WRITE);
  uint64_t flags = MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE);
  return call(w, "mmap", SYS_mmap,
              (uint64_t[6]){s->start, length, (uint64_t)s->from->protection, flags, ~0ULL, 0}, e);
}

static uint64_t heap_end(const struct regions *r) {
  uint64_t end = 0;
  for (size_t i = 0; i < r->count; i++)
    if (r->list[i].heap) end = r->list[i].end;
  return end;
}

// The kernel has to know where the heap ends, or the C library's next request for more fails.
static int move_break(struct work *w, struct error *e) {
  uint64_t end = heap_end(&w->from_regions);
  if (end == 0 || end == heap_end(&w->to_regions)) return 0;
  if (call(w, "brk", SYS_brk, (uint64_t[6]){end}, e) < 0) return -1;
  regions_free(&w->to_regions);
  return regions_read(w->to, &w->to_regions, e);
}

// --- Contents -----------------------------------------------------------------------------------

static bool is_zero(const char *bytes) {
  const uint64_t *words = (const uint64_t *)(const void *)bytes;
  for (size_t i = 0; i < PAGE / sizeof *words; i++)
    if (words[i]) return false;
  return true;
}

static int copy_run(struct work *w, uint64_t start, uint64_t pages, bool fresh, struct error *e) {
  while (pages) {
    size_t count = pages < CHUNK ? (size_t)pages : CHUNK;
    ssize_t got = pread(w->from_memory, w->bytes, count * PAGE, (off_t)start);
    if (got <= 0) { // behind the end of a file: nothing can be there
      start += PAGE;
      pages--;
      continue;
    }
    count = (size_t)got / PAGE;
    size_t first = 0, last = count;
    while (fresh && first < last && is_zero(w->bytes + first * PAGE)) first++;
    while (fresh && first < last && is_zero(w->bytes + (last - 1) * PAGE)) last--;
    size_t length = (last - first) * PAGE;
    if (length && pwrite(w->to_memory, w->bytes + first * PAGE, length,
                         (off_t)(start + first * PAGE)) != (ssize_t)length)
      return FAIL_ERRNO(e, "writing %zu bytes at 0x%llx of the new zygote", length,
                        (unsigned long long)start);
    w->told->pages += (int64_t)(last - first);
    start += count * PAGE;
    pages -= count;
  }
  return 0;
}

static int read_entries(int fd, uint64_t *entries, uint64_t start, size_t count, struct error *e) {
  ssize_t wanted = (ssize_t)(count * sizeof *entries);
  off_t at = (off_t)(start / PAGE * sizeof *entries);
  if (pread(fd, entries, (size_t)wanted, at) == wanted) return 0;
  return FAIL_ERRNO(e, "reading a page map");
}

static bool is_own(uint64_t entry) { // memory of the process, not the file's own page
  return (entry & SWAPPED) || ((entry & PRESENT) && !(entry & OF_FILE));
}

enum page { SAME, COPY, DROP };

static enum page compare(uint64_t from, uint64_t to) {
  if (!is_own(from)) return is_own(to) ? DROP : SAME;
  if ((from & PRESENT) && (to & PRESENT))
    return (from & FRAME) && (from & FRAME) == (to & FRAME) ? SAME : COPY;
  return COPY; // in the swap, or not there yet
}

static int act(struct work *w, enum page what, uint64_t start, uint64_t pages, bool dropping,
               struct error *e) {
  if (what == COPY && !dropping) return copy_run(w, start, pages, false, e);
  if (what != DROP || !dropping) return 0;
  uint64_t arguments[6] = {start, pages * PAGE, MADV_DONTNEED};
  return call(w, "madvise", SYS_madvise, arguments, e);
}

// Calls first and copies later: a call needs the code that a copy may overwrite.
static int match(struct work *w, const struct span *s, bool dropping, struct error *e) {
  for (uint64_t at = s->start; at < s->end;) {
    size_t count = (size_t)((s->end - at) / PAGE < ENTRIES ? (s->end - at) / PAGE : ENTRIES);
    if (read_entries(w->from_pages, w->from_entries, at, count, e) < 0) return -1;
    if (read_entries(w->to_pages, w->to_entries, at, count, e) < 0) return -1;
    for (size_t i = 0; i < count;) {
      size_t first = i;
      enum page what = compare(w->from_entries[i], w->to_entries[i]);
      if (!dropping && is_own(w->from_entries[i])) w->told->resident += (int64_t)PAGE;
      while (++i < count && compare(w->from_entries[i], w->to_entries[i]) == what)
        if (!dropping && is_own(w->from_entries[i])) w->told->resident += (int64_t)PAGE;
      if (act(w, what, at + first * PAGE, i - first, dropping, e) < 0) return -1;
    }
    at += count * PAGE;
  }
  return 0;
}

static int fill_fresh(struct work *w, const struct span *s, struct error *e) {
  w->told->resident += (int64_t)(s->from->kind == REGION_FILE ? s->end - s->start : 0);
  if (s->from->kind == REGION_FILE)
    return copy_run(w, s->start, (s->end - s->start) / PAGE, true, e);
  for (uint64_t at = s->start; at < s->end;) {
    size_t count = (size_t)((s->end - at) / PAGE < ENTRIES ? (s->end - at) / PAGE : ENTRIES);
    if (read_entries(w->from_pages, w->from_entries, at, count, e) < 0) return -1;
    for (size_t i = 0; i < count; i++) {
      size_t first = i;
      while (i < count && (w->from_entries[i] & (PRESENT | SWAPPED))) i++;
      w->told->resident += (int64_t)((i - first) * PAGE);
      if (i > first && copy_run(w, at + first * PAGE, i - first, true, e) < 0) return -1;
    }
    at += count * PAGE;
  }
  return 0;
}

static bool is_stack_growth(const struct span *s) {
  return s->from && s->from->kind == REGION_STACK && !s->to;
}

static int drop(struct work *w, const struct span *s, struct error *e) {
  bool kept = (s->action == KEEP || s->action == PROTECT) && s->from && s->to;
  return kept && s->from->kind != REGION_KERNEL && !s->from->shared ? match(w, s, true, e) : 0;
}

static int fill(struct work *w, const struct span *s, struct error *e) {
  if (!s->from || s->from->kind == REGION_KERNEL) return 0;
  // Writing below a stack makes it grow, down to where the first write is.
  if (is_stack_growth(s)) return copy_run(w, s->start, (s->end - s->start) / PAGE, false, e);
  if (s->action == MAP) return fill_fresh(w, s, e);
  return s->from->shared ? 0 : match(w, s, false, e);
}

// --- The one thing that must not be the same ----------------------------------------------------

// The C library keeps the thread's number where the kernel clears it at the end of the thread.
static int find_thread_id(struct work *w, uint64_t *address, struct error *e) {
  uint64_t scratch;
  int64_t result;
  *address = 0;
  if (remote_scratch(w->to, &scratch, e) < 0) return -1;
  uint64_t arguments[6] = {PR_GET_TID_ADDRESS, scratch};
  if (remote_call(w->to, SYS_prctl, arguments, &result, e) < 0) return -1;
  if (result < 0) return 0; // a kernel without it: the number is only used to signal oneself
  if (pread(w->to_memory, address, sizeof *address, (off_t)scratch) != sizeof *address)
    return FAIL_ERRNO(e, "reading the new zygote");
  return 0;
}

static int fill_memory(struct work *w, struct error *e) {
  uint64_t address;
  uint32_t id = 0;
  if (find_thread_id(w, &address, e) < 0) return -1;
  if (address && pread(w->to_memory, &id, sizeof id, (off_t)address) != sizeof id) address = 0;
  if (each_span(w, drop, e) < 0 || each_span(w, fill, e) < 0) return -1;
  if (address && pwrite(w->to_memory, &id, sizeof id, (off_t)address) != sizeof id)
    return FAIL_ERRNO(e, "writing the thread's number");
  return 0;
}

static int arrange_all(struct work *w, struct error *e) {
  if (regions_read(w->from, &w->from_regions, e) < 0) return -1;
  if (regions_read(w->to, &w->to_regions, e) < 0) return -1;
  return move_break(w, e) < 0 || each_span(w, arrange, e) < 0 ? -1 : 0;
}

static int open_all(struct work *w, struct error *e) {
  w->from_memory = open_of(w->from, "mem", O_RDONLY, e);
  w->to_memory = open_of(w->to, "mem", O_RDWR, e);
  w->from_pages = open_of(w->from, "pagemap", O_RDONLY, e);
  w->to_pages = open_of(w->to, "pagemap", O_RDONLY, e);
  w->bytes = malloc(CHUNK * PAGE);
  w->from_entries = malloc(ENTRIES * sizeof *w->from_entries);
  w->to_entries = malloc(ENTRIES * sizeof *w->to_entries);
  if (w->from_memory < 0 || w->to_memory < 0 || w->from_pages < 0 || w->to_pages < 0) return -1;
  return w->bytes && w->from_entries && w->to_entries ? 0
                                                      : FAIL(e, ERR_EXHAUSTED, "out of memory");
}

// Held, it keeps its pid; so if it still lives then, the pid was not another's.
static int hold(const struct held *p, struct error *e) {
  if (remote_hold(p->pid, e) < 0) return -1;
  return sys_pidfd_alive(p->pidfd) ? 0 : FAIL(e, ERR_RUNTIME, "process %d has ended", p->pid);
}

int transplant(const struct held *from, const struct held *to, struct transplanted *out,
               struct error *e) {
  // Runs in a process of its own, whose end gives all of it back.
  struct work w = {.from = from->pid, .to = to->pid, .told = out};
  *out = (struct transplanted){0};
  if (sysconf(_SC_PAGESIZE) != (long)PAGE)
    return FAIL(e, ERR_UNSUPPORTED, "a page size of %ld", sysconf(_SC_PAGESIZE));
  if (hold(from, e) < 0 || remote_until_paused(w.from, e) < 0) return -1;
  if (hold(to, e) < 0 || remote_prepare(w.to, e) < 0) return -1;
  if (open_all(&w, e) < 0 || arrange_all(&w, e) < 0 || fill_memory(&w, e) < 0) return -1;
  return remote_resume_as(w.to, w.from, e);
}
