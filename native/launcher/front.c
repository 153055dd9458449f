// Puts forkd-python where the image has the interpreter, in the topmost layer, and the interpreter
// itself below /.forkd/real, where forkd-python looks for it. The image is left as it is; inside a
// sandbox both are ordinary files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "family.h"
#include "skeleton.h"

enum { LINKS_MAX = 8, REAL_PATH = 1024 };

static int copy_file(int from, int dir, const char *path, uid_t owner, struct error *e) {
  struct stat st;
  cleanup_fd int to = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (to < 0) return FAIL_ERRNO(e, "creating /%s", path);
  if (fstat(from, &st) < 0) return FAIL_ERRNO(e, "looking at the source of /%s", path);
  for (off_t at = 0; at < st.st_size;) {
    ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
    if (n <= 0) return FAIL_ERRNO(e, "copying to /%s", path);
  }
  if (fchown(to, owner, owner) < 0 || fchmod(to, 0755) < 0)
    return FAIL_ERRNO(e, "changing the owner of /%s", path);
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  return futimens(to, times) < 0 ? FAIL_ERRNO(e, "dating /%s", path) : 0;
}

// The path of the regular file that an absolute path leads to, without its first slash. 1 when
// there is none, or when a directory on the way is a link: then the interpreter stays as it is.
static int resolve(const struct family *f, char path[REAL_PATH], struct look *look) {
  for (int i = 0; i < LINKS_MAX; i++) {
    char link[REAL_PATH], target[2 * REAL_PATH];
    *look = skeleton_look_up(f, path);
    if (!look->found || !skeleton_way_is_plain(f, path)) return 1;
    if (S_ISREG(look->st.st_mode)) return 0;
    ssize_t n = skeleton_read_link(look, path, link, sizeof link);
    if (n <= 0 || (size_t)n >= sizeof link) return 1;
    link[n] = 0;
    const char *slash = strrchr(path, '/');
    if (link[0] == '/') snprintf(target, sizeof target, "%s", link + 1);
    else if (slash) snprintf(target, sizeof target, "%.*s/%s", (int)(slash - path), path, link);
    else return 1;
    // Nobody links the interpreter through "..", and the way is not followed here.
    if (strstr(target, "..") || strlen(target) >= REAL_PATH) return 1;
    strcpy(path, target);
  }
  return 1;
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

static int place(struct family *f, int dir, const char *path, int interpreter, struct error *e) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  uid_t owner = f->spec.uid_base;
  if (skeleton_make_way(f, dir, ".forkd/real", true, e) < 0) return -1;
  cleanup_fd int real = openat(dir, ".forkd/real", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (real < 0) return FAIL_ERRNO(e, "opening .forkd/real");
  if (copy_file(interpreter, real, name, owner, e) < 0) return -1;
  if (link_names(real, name, owner, e) < 0) return -1;
  int way = skeleton_make_way(f, dir, path, false, e);
  if (way != 0) return way < 0 ? -1 : FAIL(e, ERR_INVALID, "/%s is hidden", path);
  cleanup_fd int front = open(f->spec.front, O_RDONLY | O_CLOEXEC);
  if (front < 0) return FAIL_ERRNO(e, "opening %s", f->spec.front);
  return copy_file(front, dir, path, owner, e);
}

int front_place(struct family *f, int dir, struct error *e) {
  char path[REAL_PATH];
  struct look look;
  const char *interpreter = f->spec.argv[0];
  if (!f->spec.front || !interpreter || interpreter[0] != '/' || strlen(interpreter) >= sizeof path)
    return 0;
  strcpy(path, interpreter + 1);
  if (resolve(f, path, &look) != 0) return 0;
  cleanup_fd int file = skeleton_open(&look, path);
  if (file < 0) return FAIL_ERRNO(e, "opening the interpreter /%s", path);
  return place(f, dir, path, file, e);
}
