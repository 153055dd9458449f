// Puts forkd-python where the image has the interpreter, as the launcher does on the process
// engine; the interpreter itself goes to /.forkd/real, where forkd-python looks for it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/front.h"
#include "guest.h"

#define REAL GUEST_FORKD "/real"

// The regular file that a path of the sandbox leads to, open, and where it lies below GUEST_ROOT.
// -1 when there is none: the runtime's start says so better.
static int open_interpreter(const char *path, char at[PATH_MAX], struct error *e) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
  char link[64];
  struct stat st;
  cleanup_fd int root = open(GUEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return FAIL_ERRNO(e, "opening " GUEST_ROOT);
  cleanup_fd int file = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
    return FAIL(e, ERR_NOT_FOUND, "%s is no file", path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t n = readlink(link, at, PATH_MAX - 1);
  if (n < 0) return FAIL_ERRNO(e, "finding the interpreter %s", path);
  at[n] = 0;
  return steal_fd(&file);
}

int front_place(const struct guest_spec *s, struct error *e) {
  char at[PATH_MAX];
  cleanup_fd int front = open(GUEST_FRONT, O_RDONLY | O_CLOEXEC);
  if (front < 0) return errno == ENOENT ? 0 : FAIL_ERRNO(e, "opening " GUEST_FRONT);
  cleanup_fd int interpreter = open_interpreter(s->argv[0], at, e);
  if (interpreter < 0) return e->kind == ERR_NOT_FOUND ? 0 : -1;
  if (make_directory(REAL, e) < 0) return -1;
  cleanup_fd int real = open(REAL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (real < 0) return FAIL_ERRNO(e, "opening " REAL);
  if (front_keep(interpreter, real, strrchr(at, '/') + 1, 0, e) < 0) return -1;
  // A new file in the layer above: other links to the interpreter's inode stay what they are.
  if (unlink(at) < 0) return FAIL_ERRNO(e, "replacing %s", at);
  return front_copy(front, AT_FDCWD, at, 0, e);
}
