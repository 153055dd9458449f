// Lists of page ranges, in memory and as the file `index` of a snapshot (docs/snapshot-format.md).
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "pages.h"

static const char MAGIC[8] = {'F', 'K', 'D', 'P', 'A', 'G', 'E', '1'};

struct head {
  char magic[8];
  uint64_t count;
};

int runs_add(struct runs *r, struct run run, struct error *e) {
  struct run *last = r->length ? &r->list[r->length - 1] : NULL;
  r->pages += run.count;
  if (last && last->first + last->count == run.first) {
    last->count += run.count;
    return 0;
  }
  if (r->length == r->capacity) {
    size_t capacity = r->capacity ? r->capacity * 2 : 1024;
    struct run *list = reallocarray(r->list, capacity, sizeof *list);
    if (!list) return FAIL(e, ERR_EXHAUSTED, "out of memory for a list of %zu pages", capacity);
    r->list = list;
    r->capacity = capacity;
  }
  r->list[r->length++] = run;
  return 0;
}

void runs_free(struct runs *r) { free(r->list); }

static size_t joined(const struct runs *r, uint64_t gap) {
  size_t count = r->length ? 1 : 0;
  for (size_t i = 1; i < r->length; i++)
    count += r->list[i].first - (r->list[i - 1].first + r->list[i - 1].count) > gap;
  return count;
}

void runs_bridge(struct runs *r, size_t most) {
  uint64_t gap = 0;
  while (joined(r, gap) > most) gap += gap / 4 + 1;
  if (!gap) return;
  size_t at = 0;
  for (size_t i = 1; i < r->length; i++) {
    struct run *last = &r->list[at], next = r->list[i];
    if (next.first - (last->first + last->count) > gap) {
      r->list[++at] = next;
    } else {
      r->pages += next.first - (last->first + last->count);
      last->count = next.first + next.count - last->first;
    }
  }
  r->length = at + 1;
}

static int write_all(int fd, const void *from, size_t length, struct error *e) {
  for (size_t done = 0; done < length;) {
    ssize_t n = write(fd, (const char *)from + done, length - done);
    if (n < 0) return FAIL_ERRNO(e, "writing an index");
    done += (size_t)n;
  }
  return 0;
}

int runs_write(const struct runs *r, const char *path, struct error *e) {
  struct head head = {.count = r->length};
  memcpy(head.magic, MAGIC, sizeof MAGIC);
  cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", path);
  if (write_all(fd, &head, sizeof head, e) < 0 ||
      write_all(fd, r->list, r->length * sizeof *r->list, e) < 0)
    return -1;
  return fdatasync(fd) < 0 ? FAIL_ERRNO(e, "saving %s", path) : 0;
}

int runs_read(struct runs *r, const char *path, uint64_t pages, struct error *e) {
  struct head head;
  struct stat about;
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &about) < 0) return FAIL_ERRNO(e, "opening %s", path);
  if (read(fd, &head, sizeof head) != sizeof head || memcmp(head.magic, MAGIC, sizeof MAGIC) != 0 ||
      head.count > pages ||
      (uint64_t)about.st_size != sizeof head + head.count * sizeof(struct run))
    return FAIL(e, ERR_INVALID, "%s is no index of pages", path);
  for (uint64_t i = 0, end = 0; i < head.count; i++) {
    struct run run;
    if (read(fd, &run, sizeof run) != sizeof run) return FAIL_ERRNO(e, "reading %s", path);
    if (run.first < end || run.first >= pages || !run.count || run.count > pages - run.first)
      return FAIL(e, ERR_INVALID, "%s: range %llu is out of order", path, (unsigned long long)i);
    end = run.first + run.count;
    if (runs_add(r, run, e) < 0) return -1;
  }
  return 0;
}
