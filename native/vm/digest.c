// forkd-vm digest MEMORY INDEX BYTES: what a snapshot's pages are, as docs/snapshot-format.md says.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "sha256.h"
#include "pages.h"

enum { CHUNK_PAGES = 256 };

static int add_file(struct sha256 *sum, const char *path, struct error *e) {
  char buffer[65536];
  ssize_t n;
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", path);
  while ((n = read(fd, buffer, sizeof buffer)) > 0) sha256_add(sum, buffer, (size_t)n);
  return n < 0 ? FAIL_ERRNO(e, "reading %s", path) : 0;
}

static int add_pages(struct sha256 *sum, int fd, struct run run, char *buffer, struct error *e) {
  size_t length = run.count * PAGE_BYTES;
  for (size_t done = 0; done < length;) {
    ssize_t n = pread(fd, buffer + done, length - done, (off_t)(run.first * PAGE_BYTES + done));
    if (n < 0) return FAIL_ERRNO(e, "reading a snapshot's memory");
    if (n == 0) return FAIL(e, ERR_INVALID, "a snapshot's memory ends before its last page");
    done += (size_t)n;
  }
  for (size_t i = 0; i < run.count; i++) {
    uint64_t number = run.first + i;
    if (page_is_zero(buffer + i * PAGE_BYTES)) continue;
    sha256_add(sum, &number, sizeof number);
    sha256_add(sum, buffer + i * PAGE_BYTES, PAGE_BYTES);
  }
  return 0;
}

static int add_runs(struct sha256 *sum, int fd, const struct runs *runs, struct error *e) {
  cleanup_free char *buffer = aligned_alloc(PAGE_BYTES, (size_t)CHUNK_PAGES * PAGE_BYTES);
  if (!buffer) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  for (size_t i = 0; i < runs->length; i++) {
    struct run run = runs->list[i];
    uint64_t end = run.first + run.count;
    for (uint64_t page = run.first; page < end; page += CHUNK_PAGES) {
      uint64_t left = end - page;
      struct run part = {page, left < CHUNK_PAGES ? left : CHUNK_PAGES};
      off_t data = lseek(fd, (off_t)(page * PAGE_BYTES), SEEK_DATA);
      if (data < 0 && errno != ENXIO) return FAIL_ERRNO(e, "looking for a snapshot's data");
      if (data < 0 || data >= (off_t)((page + part.count) * PAGE_BYTES)) continue;
      if (add_pages(sum, fd, part, buffer, e) < 0) return -1;
    }
  }
  return 0;
}

int verb_digest(char **argv, struct error *e) {
  struct sha256 sum;
  struct runs runs = {0};
  char hex[65];
  if (!argv[0] || !argv[1] || !argv[2])
    return FAIL(e, ERR_INVALID, "digest needs MEMORY INDEX BYTES");
  uint64_t bytes = strtoull(argv[2], NULL, 10);
  cleanup_fd int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", argv[0]);
  if (lseek(fd, 0, SEEK_END) != (off_t)bytes)
    return FAIL(e, ERR_INVALID, "%s has not %s bytes", argv[0], argv[2]);
  sha256_begin(&sum);
  int state = runs_read(&runs, argv[1], bytes / PAGE_BYTES, e);
  if (state == 0) state = add_file(&sum, argv[1], e);
  if (state == 0) state = add_runs(&sum, fd, &runs, e);
  runs_free(&runs);
  if (state < 0) return -1;
  sha256_end(&sum, hex);
  puts(hex);
  return 0;
}
