#define _GNU_SOURCE
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/cleanup.h"

enum { DEPTH_MAX = 200, NAMES_MAX = 16384, VALUE_MAX = 65536, BLOCK = 262144 };

// A file with several names: the first copy, which the others become links to.
struct link {
  struct link *next;
  ino_t inode;
  int copy; // O_PATH
};

struct walk {
  struct tree_copied *told;
  dev_t device;
  struct link *links;
  char *names, *value, *block;
  int depth;
};

static bool is_kept(const char *name) {
  if (strncmp(name, "user.", 5) != 0) return false;
  if (strncmp(name, "user.overlay.", 13) != 0) return true;
  return strcmp(name + 13, "opaque") == 0 || strcmp(name + 13, "whiteout") == 0;
}

static int copy_attributes(struct walk *w, int from, int to, struct error *e) {
  ssize_t length = flistxattr(from, w->names, NAMES_MAX);
  if (length < 0) return errno == ENOTSUP ? 0 : FAIL_ERRNO(e, "listing attributes");
  for (char *name = w->names; name < w->names + length; name += strlen(name) + 1) {
    if (!is_kept(name)) continue;
    ssize_t size = fgetxattr(from, name, w->value, VALUE_MAX);
    if (size < 0 || fsetxattr(to, name, w->value, (size_t)size, 0) < 0)
      return FAIL_ERRNO(e, "copying the attribute %.64s", name);
  }
  return 0;
}

// After the contents, which change the times, and the owner, which changes the mode.
static int finish(struct walk *w, int from, int to, const struct stat *st, struct error *e) {
  const struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (copy_attributes(w, from, to, e) < 0) return -1;
  if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0 ||
      futimens(to, times) < 0)
    return FAIL_ERRNO(e, "setting owner, mode and times");
  return 0;
}

static int copy_stretch(struct walk *w, int from, int to, off_t at, off_t end, struct error *e) {
  while (at < end) {
    size_t want = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
    ssize_t got = pread(from, w->block, want, at);
    if (got < 0) return FAIL_ERRNO(e, "reading a file");
    if (got == 0) return 0; // it became shorter
    if (pwrite(to, w->block, (size_t)got, at) != got) return FAIL_ERRNO(e, "writing a file");
    w->told->bytes += got;
    at += got;
  }
  return 0;
}

static int copy_contents(struct walk *w, int from, int to, off_t size, struct error *e) {
  off_t at = 0;
  if (ftruncate(to, size) < 0) return FAIL_ERRNO(e, "setting a file's size");
  while (at < size) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0) return errno == ENXIO ? 0 : FAIL_ERRNO(e, "looking for a file's data");
    off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0) return FAIL_ERRNO(e, "looking for a file's holes");
    if (copy_stretch(w, from, to, data, hole < size ? hole : size, e) < 0) return -1;
    at = hole;
  }
  return 0;
}

static struct link *find_link(struct walk *w, ino_t inode) {
  struct link *l = w->links;
  while (l && l->inode != inode) l = l->next;
  return l;
}

static int remember_link(struct walk *w, ino_t inode, int copy, struct error *e) {
  struct link *l = malloc(sizeof *l);
  if (!l) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  *l = (struct link){w->links, inode, fcntl(copy, F_DUPFD_CLOEXEC, 0)};
  w->links = l;
  return l->copy < 0 ? FAIL_ERRNO(e, "keeping a hard link") : 0;
}

static int copy_file(struct walk *w, int from_dir, int to_dir, const char *name,
                     const struct stat *st, struct error *e) {
  char path[40];
  const struct link *known = st->st_nlink > 1 ? find_link(w, st->st_ino) : NULL;
  if (known) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", known->copy);
    return linkat(AT_FDCWD, path, to_dir, name, AT_SYMLINK_FOLLOW) < 0
               ? FAIL_ERRNO(e, "linking %.200s", name)
               : 0;
  }
  cleanup_fd int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (from < 0) return FAIL_ERRNO(e, "opening %.200s", name);
  cleanup_fd int to = openat(to_dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (to < 0) return FAIL_ERRNO(e, "creating %.200s", name);
  if (copy_contents(w, from, to, st->st_size, e) < 0 || finish(w, from, to, st, e) < 0) return -1;
  return st->st_nlink > 1 ? remember_link(w, st->st_ino, to, e) : 0;
}

static int copy_symlink(int from_dir, int to_dir, const char *name, const struct stat *st,
                        struct error *e) {
  char target[PATH_MAX];
  const struct timespec times[2] = {st->st_atim, st->st_mtim};
  ssize_t length = readlinkat(from_dir, name, target, sizeof target - 1);
  if (length < 0) return FAIL_ERRNO(e, "reading the link %.200s", name);
  target[length] = 0;
  if (symlinkat(target, to_dir, name) < 0 ||
      fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
      utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
    return FAIL_ERRNO(e, "copying the link %.200s", name);
  return 0;
}

// Pipes, sockets, and the device 0:0, by which an overlay says that a name is gone. No sandbox can
// have made another.
static int copy_node(int to_dir, const char *name, const struct stat *st, struct error *e) {
  bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
  if (device && (!S_ISCHR(st->st_mode) || st->st_rdev != 0)) return 0;
  if (mknodat(to_dir, name, st->st_mode, 0) < 0 ||
      fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
    return FAIL_ERRNO(e, "creating the node %.200s", name);
  return 0;
}

static int copy_directory(struct walk *w, int from, int to, struct error *e);

static int copy_below(struct walk *w, int from_dir, int to_dir, const char *name, struct error *e) {
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (w->depth == DEPTH_MAX)
    return FAIL(e, ERR_EXHAUSTED, "directories are nested more than %d deep", DEPTH_MAX);
  cleanup_fd int from = openat(from_dir, name, flags);
  if (from < 0) return FAIL_ERRNO(e, "opening %.200s", name);
  if (mkdirat(to_dir, name, 0700) < 0) return FAIL_ERRNO(e, "mkdir %.200s", name);
  cleanup_fd int to = openat(to_dir, name, flags);
  if (to < 0) return FAIL_ERRNO(e, "opening the new %.200s", name);
  w->depth++;
  int done = copy_directory(w, from, to, e);
  w->depth--;
  return done;
}

static int copy_entry(struct walk *w, int from, int to, const char *name, struct error *e) {
  struct stat st;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : FAIL_ERRNO(e, "looking at %.200s", name);
  w->told->entries++;
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR: return st.st_dev == w->device ? copy_below(w, from, to, name, e) : 0;
    case S_IFREG: return copy_file(w, from, to, name, &st, e);
    case S_IFLNK: return copy_symlink(from, to, name, &st, e);
    default: return copy_node(to, name, &st, e);
  }
}

static int copy_directory(struct walk *w, int from, int to, struct error *e) {
  struct stat st;
  struct dirent *entry;
  int done = 0;
  int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (!dir) {
    if (copy >= 0) close(copy);
    return FAIL_ERRNO(e, "reading a directory");
  }
  while (done == 0 && (entry = readdir(dir)))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      done = copy_entry(w, from, to, entry->d_name, e);
  closedir(dir);
  if (done < 0) return -1;
  if (fstat(from, &st) < 0) return FAIL_ERRNO(e, "looking at a directory");
  return finish(w, from, to, &st, e);
}

int tree_clone(int from, int to, struct tree_copied *told, struct error *e) {
  struct stat st;
  cleanup_free char *names = malloc(NAMES_MAX), *value = malloc(VALUE_MAX),
                    *block = malloc(BLOCK);
  struct walk w = {.told = told, .names = names, .value = value, .block = block};
  if (!names || !value || !block) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  if (fstat(from, &st) < 0) return FAIL_ERRNO(e, "looking at a directory");
  w.device = st.st_dev;
  int done = copy_directory(&w, from, to, e);
  while (w.links) {
    struct link *next = w.links->next;
    if (w.links->copy >= 0) close(w.links->copy);
    free(w.links);
    w.links = next;
  }
  return done;
}
