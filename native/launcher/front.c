// Puts forkd-python where the image has the interpreter, in the topmost layer, and the interpreter
// itself below /.forkd/real, where forkd-python looks for it. The image is left as it is; inside a
// sandbox both are ordinary files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/front.h"
#include "family.h"
#include "skeleton.h"

enum { LINKS_MAX = 8, REAL_PATH = 1024 };

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

static int place(struct family *f, int dir, const char *path, int interpreter, struct error *e) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  uid_t owner = f->spec.ids.first;
  if (skeleton_make_way(f, dir, ".forkd/real", true, e) < 0) return -1;
  cleanup_fd int real = openat(dir, ".forkd/real", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (real < 0) return FAIL_ERRNO(e, "opening .forkd/real");
  if (front_keep(interpreter, real, name, owner, e) < 0) return -1;
  int way = skeleton_make_way(f, dir, path, false, e);
  if (way != 0) return way < 0 ? -1 : FAIL(e, ERR_INVALID, "/%s is hidden", path);
  cleanup_fd int front = open(f->spec.front, O_RDONLY | O_CLOEXEC);
  if (front < 0) return FAIL_ERRNO(e, "opening %s", f->spec.front);
  return front_copy(front, dir, path, owner, e);
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
