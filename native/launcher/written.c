#define _GNU_SOURCE
#include "written.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "sys.h"
#include "tree.h"

static int copy_part(int from_dir, const char *from_name, const char *to_path, const char *part,
                     struct tree_copied *told, struct error *e) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  char path[4352];
  snprintf(path, sizeof path, "%s/%s", to_path, part);
  cleanup_fd int from = openat(from_dir, from_name, flags);
  if (from < 0) return FAIL_ERRNO(e, "opening its %s", from_name);
  cleanup_fd int to = open(path, flags);
  if (to < 0) return FAIL_ERRNO(e, "opening %s", part);
  return tree_clone(from, to, told, e);
}

// These are written into every root anew; a layer of nothing else would be for nothing.
static void drop_identity(const char *to) {
  static const char *const names[] = {"machine-id", "hostname", "hosts"};
  char path[4352];
  snprintf(path, sizeof path, "%s/u/etc", to);
  cleanup_fd int etc = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (etc < 0) return;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlinkat(etc, names[i], 0);
  rmdir(path); // unless there is more
}

// Directories that were made only because a part of the base needs one to write to: see split.h.
static void drop_parts(int upper, const char *to) {
  struct dirent *entry;
  char path[4352];
  snprintf(path, sizeof path, "%s/u", to);
  cleanup_fd int layer = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int names = openat(upper, "p", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = names < 0 ? NULL : fdopendir(names); // the base is not in parts
  while (dir && layer >= 0 && (entry = readdir(dir)))
    unlinkat(layer, entry->d_name, AT_REMOVEDIR); // unless something is in it
  if (dir) closedir(dir);
}

void written_copy(const void *plan, struct job_result *result) {
  const struct written *w = plan;
  struct tree_copied told = {0};
  struct error *e = &result->error;
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/root", w->pid);
  cleanup_fd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    FAIL_ERRNO(e, "opening its root");
    return;
  }
  if (!sys_pidfd_alive(w->pidfd)) { // else it may be the root of who has the pid now
    FAIL(e, ERR_RUNTIME, "it has ended");
    return;
  }
  if (copy_part(w->upper, "u", w->to, "u", &told, e) < 0 ||
      copy_part(root, "tmp", w->to, "tmp", &told, e) < 0 ||
      copy_part(root, "dev/shm", w->to, "shm", &told, e) < 0)
    return;
  drop_identity(w->to);
  drop_parts(w->upper, w->to);
  result->copied = told.bytes;
}
