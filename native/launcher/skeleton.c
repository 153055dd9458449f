// Two layers of our own. k, above the image, holds directories owned by the sandbox's root: an
// overlay can copy up only what has an owner inside the user namespace, and the host's own files
// have none. h, above the image's base, hides: a path that is in both is a fresh, empty directory.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "skeleton.h"

// What a directory is like where no layer has it.
static const struct {
  const char *path;
  mode_t mode;
} known_modes[] = {{"tmp", 01777}, {"var/tmp", 01777}, {"root", 0700}, {"dev/shm", 01777}};

static const char *const always[] = {"proc", "sys", "dev", "tmp", "run", "etc", ".forkd/python"};

// Within one layer, never through a symbolic link: a link is absolute to the host here.
static int open_in_layer(size_t index, const char *path, uint64_t flags) {
  char layer[16];
  struct open_how how = {.flags = flags | O_NOFOLLOW | O_CLOEXEC,
                         .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  snprintf(layer, sizeof layer, "l/%zu", index);
  cleanup_fd int root = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static bool stat_in_layer(size_t index, const char *path, struct stat *st) {
  cleanup_fd int fd = open_in_layer(index, path, O_PATH);
  return fd >= 0 && fstat(fd, st) == 0;
}

int skeleton_open(const struct look *look, const char *path) {
  return open_in_layer(look->layer, path, O_RDONLY);
}

ssize_t skeleton_read_link(const struct look *look, const char *path, char *target, size_t size) {
  cleanup_fd int fd = open_in_layer(look->layer, path, O_PATH);
  return fd < 0 ? -1 : readlinkat(fd, "", target, size);
}

// A whiteout says it is gone.
struct look skeleton_look_up(const struct family *f, const char *path) {
  struct look look = {.found = false};
  for (size_t i = 0; i < f->spec.layer_count && !look.found; i++) {
    look.layer = i;
    look.found = stat_in_layer(i, path, &look.st);
    look.idmap = f->spec.layers[i].idmap && !f->spec.layers[i].copy;
  }
  if (look.found && S_ISCHR(look.st.st_mode) && look.st.st_rdev == 0) look.found = false;
  return look;
}

static mode_t default_mode(const char *path) {
  for (size_t i = 0; i < sizeof known_modes / sizeof *known_modes; i++)
    if (strcmp(known_modes[i].path, path) == 0) return known_modes[i].mode;
  return 0755;
}

static uid_t shifted(const struct family *f, const struct look *look, uid_t id) {
  uid_t base = f->spec.ids.first;
  // The mount shows ids already shifted; everything else of the host becomes the sandbox's root.
  return look->found && id >= base && id - base < f->spec.ids.count ? id : base;
}

static int make_directory(const struct family *f, int dir, const char *path, struct error *e) {
  struct look look = skeleton_look_up(f, path);
  if (look.found && !S_ISDIR(look.st.st_mode))
    return FAIL(e, ERR_INVALID, "/%s is not a directory in the image: name its real path", path);
  mode_t mode = look.found ? look.st.st_mode & 07777 : default_mode(path);
  if (mkdirat(dir, path, 0700) < 0) return FAIL_ERRNO(e, "mkdir /%s", path);
  uid_t uid = shifted(f, &look, look.st.st_uid);
  gid_t gid = shifted(f, &look, look.st.st_gid);
  if (fchownat(dir, path, uid, gid, 0) < 0) return FAIL_ERRNO(e, "chown /%s", path);
  return fchmodat(dir, path, mode, 0) < 0 ? FAIL_ERRNO(e, "chmod /%s", path) : 0;
}

int skeleton_make_way(const struct family *f, int dir, const char *path, bool whole,
                      struct error *e) {
  char prefix[1024];
  struct stat st;
  for (size_t n = strcspn(path, "/");; n += 1 + strcspn(path + n + 1, "/")) {
    if (!path[n] && !whole) return 0;
    memcpy(prefix, path, n);
    prefix[n] = 0;
    if (fstatat(dir, prefix, &st, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISCHR(st.st_mode)) return 1;
    } else if (make_directory(f, dir, prefix, e) < 0) {
      return -1;
    }
    if (!path[n]) return 0;
  }
}

// 1: all directories that lead to the path are there; 0: one is missing, and so is the path. A link
// on the way is refused: its target, not this path, would have to be hidden.
static int check_way(const struct family *f, const char *path, struct error *e) {
  char prefix[1024];
  for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
    size_t n = (size_t)(end - path);
    memcpy(prefix, path, n);
    prefix[n] = 0;
    struct look look = skeleton_look_up(f, prefix);
    if (!look.found) return 0;
    if (!S_ISDIR(look.st.st_mode))
      return FAIL(e, ERR_INVALID, "/%s is not a directory in the image: name its real path",
                  prefix);
  }
  return 1;
}

bool skeleton_way_is_plain(const struct family *f, const char *path) {
  struct error ignored; // says what is in the way; that is enough to know here
  return check_way(f, path, &ignored) == 1;
}

static int hide(const struct family *f, int dir, const char *path, struct error *e) {
  int there = check_way(f, path, e);
  if (there != 1 || !skeleton_look_up(f, path).found) return there < 0 ? -1 : 0;
  int way = skeleton_make_way(f, dir, path, false, e);
  if (way != 0) return way < 0 ? -1 : 0;
  if (mknodat(dir, path, S_IFCHR, makedev(0, 0)) == 0 || errno == EEXIST) return 0;
  return FAIL_ERRNO(e, "hiding /%s", path);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int hide_all(const struct family *f, struct error *e) {
  size_t count = 0;
  char **paths = f->spec.hidden;
  while (paths[count]) count++;
  // A parent sorts before what is below it and makes that superfluous.
  qsort(paths, count, sizeof *paths, by_text);
  cleanup_fd int dir = open("h", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return FAIL_ERRNO(e, "opening h");
  for (size_t i = 0; i < count; i++)
    if (hide(f, dir, paths[i] + 1, e) < 0) return -1;
  return 0;
}

static int make_top(const struct family *f, const char *name, struct error *e) {
  if (mkdir(name, 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", name);
  uid_t base = f->spec.ids.first;
  return chown(name, base, base) < 0 ? FAIL_ERRNO(e, "chown %s", name) : 0;
}

int skeleton_build(struct family *f, struct error *e) {
  if (make_top(f, "k", e) < 0 || make_top(f, "h", e) < 0) return -1;
  cleanup_fd int dir = open("k", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return FAIL_ERRNO(e, "opening k");
  for (size_t i = 0; i < sizeof always / sizeof *always; i++)
    if (skeleton_make_way(f, dir, always[i], true, e) < 0) return -1;
  for (char **at = f->spec.writable; *at; at++)
    if (skeleton_make_way(f, dir, *at + 1, true, e) < 0) return -1;
  // No network: a resolver that reads this asks nobody.
  if (create_file(dir, "etc/resolv.conf", "", 0644, e) < 0) return -1;
  return hide_all(f, e) < 0 ? -1 : front_place(f, dir, e);
}
