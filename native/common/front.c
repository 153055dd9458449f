#define _GNU_SOURCE
#include "front.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int front_copy(int from, int dir, const char *path, uid_t owner, struct error *e) {
  struct stat st;
  cleanup_fd int to = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (to < 0) return FAIL_ERRNO(e, "creating %s", path);
  if (fstat(from, &st) < 0) return FAIL_ERRNO(e, "looking at the source of %s", path);
  for (off_t at = 0; at < st.st_size;) {
    ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
    if (n <= 0) return FAIL_ERRNO(e, "copying to %s", path);
  }
  if (fchown(to, owner, owner) < 0 || fchmod(to, 0755) < 0)
    return FAIL_ERRNO(e, "changing the owner of %s", path);
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  return futimens(to, times) < 0 ? FAIL_ERRNO(e, "dating %s", path) : 0;
}

static int link_names(int real, const char *name, uid_t owner, struct error *e) {
  static const char *const names[] = {"python", "python3"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) continue;
    if (symlinkat(name, real, names[i]) < 0 ||
        fchownat(real, names[i], owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
      return FAIL_ERRNO(e, "linking .forkd/real/%s", names[i]);
  }
  return 0;
}

int front_keep(int interpreter, int real, const char *name, uid_t owner, struct error *e) {
  if (front_copy(interpreter, real, name, owner, e) < 0) return -1;
  return link_names(real, name, owner, e);
}
