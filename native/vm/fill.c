// forkd-vm fill: makes a snapshot's memory whole, so that it needs no other one.
//
//   forkd-vm fill BYTES MEMORY INDEX [LOWER_MEMORY LOWER_INDEX]...
//
// Pages that INDEX (which may be missing: none) does not name are taken from the first LOWER that
// has them; "-" as an index means that it has all. INDEX then names all pages.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "pages.h"

enum { CHUNK_PAGES = 256 };

struct fill {
  int memory;
  uint64_t pages, written;
  unsigned char *have; // one bit per page
  char *buffer;
};

static bool has(const struct fill *f, uint64_t page) { return f->have[page / 8] >> page % 8 & 1; }

static void mark(struct fill *f, struct run run) {
  for (uint64_t page = run.first; page < run.first + run.count; page++)
    f->have[page / 8] |= (unsigned char)(1 << page % 8);
}

static int read_pages(const struct fill *f, int fd, struct run run, struct error *e) {
  size_t length = run.count * PAGE_BYTES;
  for (size_t done = 0; done < length;) {
    ssize_t n = pread(fd, f->buffer + done, length - done, (off_t)(run.first * PAGE_BYTES + done));
    if (n < 0) return FAIL_ERRNO(e, "reading a snapshot's memory");
    if (n == 0) return FAIL(e, ERR_IO, "a snapshot's memory is shorter than it was");
    done += (size_t)n;
  }
  return 0;
}

// The next range of at most a chunk in `within`, from *at on, that is still missing.
static bool next_missing(const struct fill *f, struct run within, uint64_t *at, struct run *out) {
  uint64_t end = within.first + within.count;
  while (*at < end && has(f, *at)) ++*at;
  *out = (struct run){*at, 0};
  while (*at < end && !has(f, *at) && out->count < CHUNK_PAGES) ++*at, ++out->count;
  return out->count > 0;
}

static int take(struct fill *f, int fd, struct run within, struct error *e) {
  uint64_t at = within.first;
  struct run part;
  while (next_missing(f, within, &at, &part)) {
    // Holes are zero, and so is what was never written here.
    off_t from = (off_t)(part.first * PAGE_BYTES);
    off_t data = lseek(fd, from, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return FAIL_ERRNO(e, "looking for data of a snapshot's memory");
    if (data < 0 || data >= from + (off_t)(part.count * PAGE_BYTES)) continue;
    if (read_pages(f, fd, part, e) < 0) return -1;
    if (pages_write(f->memory, part.first, f->buffer, part.count, &f->written, e) < 0) return -1;
  }
  mark(f, within);
  return 0;
}

static int take_lower(struct fill *f, const char *memory, const char *index, struct error *e) {
  struct runs runs = {0};
  cleanup_fd int fd = open(memory, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", memory);
  int state = strcmp(index, "-") == 0 ? runs_add(&runs, (struct run){0, f->pages}, e)
                                      : runs_read(&runs, index, f->pages, e);
  for (size_t i = 0; i < runs.length && state == 0; i++) state = take(f, fd, runs.list[i], e);
  runs_free(&runs);
  return state;
}

static int take_own(struct fill *f, const char *index, struct error *e) {
  struct runs runs = {0};
  if (access(index, F_OK) < 0) return 0;
  int state = runs_read(&runs, index, f->pages, e);
  for (size_t i = 0; i < runs.length; i++) mark(f, runs.list[i]);
  runs_free(&runs);
  return state;
}

static int fill_all(struct fill *f, char **argv, struct error *e) {
  struct runs whole = {.list = &(struct run){0, f->pages}, .length = 1, .capacity = 1};
  struct stat about;
  if (take_own(f, argv[2], e) < 0) return -1;
  for (char **lower = argv + 3; *lower; lower += 2) {
    if (!lower[1]) return FAIL(e, ERR_INVALID, "%s has no index", *lower);
    if (take_lower(f, lower[0], lower[1], e) < 0) return -1;
  }
  if (fdatasync(f->memory) < 0 || fstat(f->memory, &about) < 0)
    return FAIL_ERRNO(e, "saving %s", argv[1]);
  if (runs_write(&whole, argv[2], e) < 0) return -1;
  printf("%lld\n", (long long)about.st_blocks * 512);
  return 0;
}

int verb_fill(char **argv, struct error *e) {
  if (!argv[0] || !argv[1] || !argv[2])
    return FAIL(e, ERR_INVALID, "fill needs BYTES MEMORY INDEX");
  uint64_t bytes = strtoull(argv[0], NULL, 10);
  cleanup_fd int memory = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  cleanup_free unsigned char *have = calloc(bytes / PAGE_BYTES / 8 + 1, 1);
  cleanup_free char *buffer = aligned_alloc(PAGE_BYTES, (size_t)CHUNK_PAGES * PAGE_BYTES);
  if (memory < 0 || ftruncate(memory, (off_t)bytes) < 0)
    return FAIL_ERRNO(e, "opening %s", argv[1]);
  if (!have || !buffer) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  struct fill f = {.memory = memory, .pages = bytes / PAGE_BYTES, .have = have, .buffer = buffer};
  return fill_all(&f, argv, e);
}
