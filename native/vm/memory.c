// The guest's memory as QEMU has it mapped: where it is, which pages are its own, what is in them.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "pages.h"

// From linux/fs.h of 6.7 and newer: asks the kernel for page ranges instead of one word per page.
enum { IS_FILE = 1 << 2, IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4, REGIONS = 1024 };

struct region {
  uint64_t start, end, categories;
};

struct scan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_REQUEST _IOWR('f', 16, struct scan)

static void close_file(FILE **file) {
  if (*file) fclose(*file);
}

static bool maps_one_of(char *const *files, dev_t device, ino_t inode) {
  struct stat about;
  for (; *files; files++)
    if (stat(*files, &about) == 0 && about.st_dev == device && about.st_ino == inode) return true;
  return false;
}

int guest_memory_find(struct guest_memory *g, char *const *files, struct error *e) {
  char path[64], line[4352];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)g->pid);
  __attribute__((cleanup(close_file))) FILE *maps = fopen(path, "re");
  if (!maps) return FAIL_ERRNO(e, "opening %s", path);
  while (fgets(line, sizeof line, maps)) {
    unsigned long start, end, offset, inode;
    unsigned major_number, minor_number;
    if (sscanf(line, "%lx-%lx %*s %lx %x:%x %lu", &start, &end, &offset, &major_number,
               &minor_number, &inode) != 6)
      continue;
    if (inode && maps_one_of(files, makedev(major_number, minor_number), inode)) {
      g->address = start - offset;
      return 0;
    }
  }
  return FAIL(e, ERR_NOT_FOUND, "process %d does not map the memory of its template", (int)g->pid);
}

static int scan_ranges(const struct guest_memory *g, int pagemap, struct runs *out,
                       struct error *e) {
  struct region regions[REGIONS];
  struct scan scan = {.size = sizeof scan,
                      .start = g->address,
                      .end = g->address + g->bytes,
                      .vec = (uint64_t)(uintptr_t)regions,
                      .vec_len = REGIONS,
                      .category_inverted = IS_FILE,
                      .category_mask = IS_FILE,
                      .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
                      .return_mask = IS_PRESENT};
  while (scan.start < scan.end) {
    long n = ioctl(pagemap, SCAN_REQUEST, &scan);
    if (n < 0) return FAIL_ERRNO(e, "scanning the pages of process %d", (int)g->pid);
    for (long i = 0; i < n; i++) {
      struct run run = {.first = (regions[i].start - g->address) / PAGE_BYTES,
                        .count = (regions[i].end - regions[i].start) / PAGE_BYTES};
      if (runs_add(out, run, e) < 0) return -1;
    }
    // Not scan.walk_end: a kernel that fills its own buffer first leaves an older place in it.
    if (n < REGIONS) return 0;
    scan.start = regions[n - 1].end;
  }
  return 0;
}

// For kernels before 6.7.
static int scan_words(const struct guest_memory *g, int pagemap, struct runs *out,
                      struct error *e) {
  uint64_t words[REGIONS];
  for (uint64_t page = 0; page < g->bytes / PAGE_BYTES;) {
    off_t at = (off_t)((g->address / PAGE_BYTES + page) * sizeof *words);
    ssize_t n = pread(pagemap, words, sizeof words, at);
    if (n <= 0) return FAIL_ERRNO(e, "reading the page map of process %d", (int)g->pid);
    for (size_t i = 0; i < (size_t)n / sizeof *words && page < g->bytes / PAGE_BYTES; i++, page++) {
      bool present = words[i] >> 63 & 1, swapped = words[i] >> 62 & 1, of_file = words[i] >> 61 & 1;
      if (((present && !of_file) || swapped) && runs_add(out, (struct run){page, 1}, e) < 0)
        return -1;
    }
  }
  return 0;
}

int guest_memory_private(const struct guest_memory *g, struct runs *out, struct error *e) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/pagemap", (int)g->pid);
  cleanup_fd int pagemap = open(path, O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return FAIL_ERRNO(e, "opening %s", path);
  if (scan_ranges(g, pagemap, out, e) == 0) return 0;
  if (e->err != ENOTTY && e->err != EINVAL) return -1;
  *out = (struct runs){.list = out->list, .capacity = out->capacity};
  return scan_words(g, pagemap, out, e);
}

int guest_memory_read(const struct guest_memory *g, struct run run, char *to, struct error *e) {
  uint64_t length = run.count * PAGE_BYTES;
  for (uint64_t done = 0; done < length;) {
    struct iovec local = {to + done, length - done};
    struct iovec remote = {(void *)(uintptr_t)(g->address + run.first * PAGE_BYTES + done),
                           length - done};
    ssize_t n = process_vm_readv(g->pid, &local, 1, &remote, 1, 0);
    if (n <= 0) return FAIL_ERRNO(e, "reading the memory of process %d", (int)g->pid);
    done += (uint64_t)n;
  }
  return 0;
}

bool page_is_zero(const char *page) {
  const uint64_t *words = (const uint64_t *)(const void *)page;
  uint64_t any = 0;
  for (size_t i = 0; i < PAGE_BYTES / sizeof *words && !any; i += 8)
    for (size_t j = 0; j < 8; j++) any |= words[i + j];
  return !any;
}

int pages_write(int fd, uint64_t first, const char *pages, size_t count, uint64_t *written,
                struct error *e) {
  for (size_t i = 0; i < count;) {
    size_t end = i;
    while (end < count && !page_is_zero(pages + end * PAGE_BYTES)) end++;
    for (size_t at = i * PAGE_BYTES; at < end * PAGE_BYTES;) {
      ssize_t n = pwrite(fd, pages + at, end * PAGE_BYTES - at, (off_t)(first * PAGE_BYTES + at));
      if (n < 0) return FAIL_ERRNO(e, "writing a snapshot's memory");
      at += (size_t)n;
    }
    *written += (end - i) * PAGE_BYTES;
    i = end + (end < count);
  }
  return 0;
}
