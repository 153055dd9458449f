#define _GNU_SOURCE
#include "delta.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"

#define PREFIX "delta-"

static const struct {
  const char *name;
  mode_t mode;
} parts[] = {{"u", 0755}, {"tmp", 01777}, {"shm", 01777}};

static int fill(const struct delta *d, struct error *e) {
  if (mkdir(d->path, 0700) < 0) return FAIL_ERRNO(e, "mkdir %s", d->path);
  if (mount("tmpfs", d->path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
    return FAIL_ERRNO(e, "mounting a tmpfs on %s", d->path);
  cleanup_fd int dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return FAIL_ERRNO(e, "opening %s", d->path);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (mkdirat(dir, parts[i].name, 0755) < 0 || fchmodat(dir, parts[i].name, parts[i].mode, 0) < 0)
      return FAIL_ERRNO(e, "mkdir %s/%s", d->path, parts[i].name);
  return 0;
}

struct delta *delta_create(const char *run_dir, unsigned number, struct error *e) {
  struct delta *d = calloc(1, sizeof *d);
  if (!d || asprintf(&d->path, "%s/" PREFIX "%u", run_dir, number) < 0) {
    free(d);
    FAIL(e, ERR_EXHAUSTED, "out of memory");
    return NULL;
  }
  d->users = 1;
  d->number = number;
  if (fill(d, e) == 0) return d;
  delta_release(d);
  return NULL;
}

struct delta *delta_share(struct delta *d) {
  d->users++;
  return d;
}

void delta_release(struct delta *d) {
  if (--d->users) return;
  umount2(d->path, MNT_DETACH); // what the families have of it are mounts of their own
  rmdir(d->path);
  free(d->path);
  free(d);
}

bool delta_trim(const struct delta *d) {
  bool left = false;
  cleanup_fd int dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return true; // all parts stay: a layer too many does no harm
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (unlinkat(dir, parts[i].name, AT_REMOVEDIR) < 0) left = true; // something is in it
  return left;
}

bool delta_has_layer(const struct delta *d) {
  cleanup_fd int dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dir >= 0 && faccessat(dir, "u", F_OK, 0) == 0;
}

void deltas_sweep(int run_dir) {
  int copy = openat(run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (!dir) return;
  struct dirent *entry;
  while ((entry = readdir(dir)))
    if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
      unlinkat(run_dir, entry->d_name, AT_REMOVEDIR);
  closedir(dir);
}
