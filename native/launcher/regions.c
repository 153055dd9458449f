#define _GNU_SOURCE
#include "regions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../common/cleanup.h"

enum { REGIONS_MAX = 262144 };

static enum region_kind kind_of(const struct region *r, const char *name) {
  if (strncmp(name, "[v", 2) == 0) return REGION_KERNEL;
  if (strcmp(name, "[stack]\n") == 0) return REGION_STACK;
  return r->inode || r->shared ? REGION_FILE : REGION_MEMORY;
}

static int parse(const char *line, struct region *r, struct error *e) {
  char flags[5];
  unsigned major, minor;
  int name = 0;
  *r = (struct region){0};
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &r->start,
             &r->end, flags, &r->offset, &major, &minor, &r->inode, &name) < 7 ||
      r->end <= r->start)
    return FAIL(e, ERR_INTERNAL, "a line of maps that cannot be read: %.80s", line);
  r->protection = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) |
                  (flags[2] == 'x' ? PROT_EXEC : 0);
  r->shared = flags[3] == 's';
  r->device = (uint64_t)major << 32 | minor;
  r->heap = strcmp(line + name, "[heap]\n") == 0;
  r->kind = kind_of(r, line + name);
  return 0;
}

static int append(struct regions *out, const struct region *r, struct error *e) {
  if (out->count == REGIONS_MAX)
    return FAIL(e, ERR_EXHAUSTED, "more than %d mappings", REGIONS_MAX);
  if ((out->count & (out->count - 1)) == 0) { // at every power of two
    size_t room = out->count ? 2 * out->count : 1;
    struct region *list = realloc(out->list, room * sizeof *list);
    if (!list) return FAIL(e, ERR_EXHAUSTED, "out of memory");
    out->list = list;
  }
  out->list[out->count++] = *r;
  return 0;
}

int regions_read(pid_t pid, struct regions *out, struct error *e) {
  char path[48];
  cleanup_free char *line = NULL;
  size_t size = 0;
  int done = 0;
  *out = (struct regions){0};
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE *file = fopen(path, "re");
  if (!file) return FAIL_ERRNO(e, "opening %s", path);
  while (done == 0 && getline(&line, &size, file) > 0) {
    struct region r;
    done = parse(line, &r, e);
    if (done == 0) done = append(out, &r, e);
  }
  fclose(file);
  if (done == 0 && out->count == 0) return FAIL(e, ERR_RUNTIME, "process %d has ended", pid);
  return done;
}

void regions_free(struct regions *r) {
  free(r->list);
  *r = (struct regions){0};
}
