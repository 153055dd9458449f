// Puts forkd-python where the image has the interpreter, as the launcher does on the process
// engine; the interpreter itself goes to /.forkd/real, where forkd-python looks for it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "guest.h"

#define REAL GUEST_FORKD "/real"

static int copy_file(int from, const char *path, struct error *e) {
  struct stat st;
  cleanup_fd int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (to < 0) return FAIL_ERRNO(e, "creating %s", path);
  if (fstat(from, &st) < 0) return FAIL_ERRNO(e, "looking at the source of %s", path);
  for (off_t at = 0; at < st.st_size;) {
    ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
    if (n <= 0) return FAIL_ERRNO(e, "copying to %s", path);
  }
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  return futimens(to, times) < 0 ? FAIL_ERRNO(e, "dating %s", path) : 0;
}

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

static int link_names(const char *name, struct error *e) {
  static const char *const names[] = {REAL "/python", REAL "/python3"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(strrchr(names[i], '/') + 1, name) != 0 && symlink(name, names[i]) < 0)
      return FAIL_ERRNO(e, "linking %s", names[i]);
  return 0;
}

int front_place(const struct guest_spec *s, struct error *e) {
  char at[PATH_MAX], real[PATH_MAX + sizeof REAL];
  cleanup_fd int front = open(GUEST_FRONT, O_RDONLY | O_CLOEXEC);
  if (front < 0) return errno == ENOENT ? 0 : FAIL_ERRNO(e, "opening " GUEST_FRONT);
  cleanup_fd int interpreter = open_interpreter(s->argv[0], at, e);
  if (interpreter < 0) return e->kind == ERR_NOT_FOUND ? 0 : -1;
  const char *name = strrchr(at, '/') + 1;
  snprintf(real, sizeof real, REAL "/%s", name);
  if (make_directory(REAL, e) < 0 || copy_file(interpreter, real, e) < 0 || link_names(name, e) < 0)
    return -1;
  // A new file in the layer above: other links to the interpreter's inode stay what they are.
  if (unlink(at) < 0) return FAIL_ERRNO(e, "replacing %s", at);
  return copy_file(front, at, e);
}
