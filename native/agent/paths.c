// STAT, LIST, MAKE_DIRECTORY, REMOVE and LINK: what a path is, and changes that are over at once.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "files.h"
#include "state.h"

enum {
  LIST_ENTRIES_MAX = 2048,
  LIST_BYTES_MAX = 524288, // of one answer, which has to fit into a frame
  ENTRY_COST = 80,         // bytes of an entry beside its name and target
  TARGET_MAX = 4096,
};

static const char *kind_of(const struct stat *st) {
  if (S_ISREG(st->st_mode)) return "file";
  if (S_ISDIR(st->st_mode)) return "directory";
  return S_ISLNK(st->st_mode) ? "link" : "other";
}

static void put_entry(struct frame_writer *w, int directory, const char *name,
                      const struct stat *st) {
  char target[TARGET_MAX];
  ssize_t n = S_ISLNK(st->st_mode) ? readlinkat(directory, name, target, sizeof target) : 0;
  put_text(w, K_KIND, kind_of(st));
  put_int(w, K_BYTES, st->st_size);
  put_int(w, K_MODE, st->st_mode & 07777);
  put_int(w, K_TIME_NS, (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec);
  put_bytes(w, K_TARGET, target, n > 0 ? (size_t)n : 0);
}

static int done(struct connection *c, uint32_t id, struct error *e) {
  struct frame_writer w = frame_begin(&c->channel.output, F_DONE, id);
  return frame_end(&w, e);
}

// The path itself and not what it leads to: a link is told as one.
int path_stat(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL;
  struct stat st;
  if (file_path(f, &path, e) < 0) return -1;
  if (lstat(path, &st) < 0) return FAIL_ERRNO(e, "looking at %s", path);
  struct frame_writer w = frame_begin(&c->channel.output, F_DONE, f->id);
  put_entry(&w, AT_FDCWD, path, &st);
  return frame_end(&w, e);
}

static bool is_dots(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// An entry is a field of fields.
static void put_listed(struct frame_writer *w, int directory, const char *name,
                       const struct stat *st) {
  cleanup_buffer struct buffer fields = {0};
  struct frame_writer entry = frame_begin(&fields, 0, 0);
  put_text(&entry, K_NAME, name);
  put_entry(&entry, directory, name, st);
  put_nested(w, K_DATA, &entry);
}

// True when there may be more than was put. When memory ran out the frame cannot be ended.
static bool put_entries(struct frame_writer *w, DIR *directory, int64_t skip) {
  struct dirent *entry;
  struct stat st;
  size_t bytes = 0;
  for (int n = 0; (entry = readdir(directory));) {
    if (is_dots(entry->d_name) || skip-- > 0) continue;
    if (n == LIST_ENTRIES_MAX || bytes > LIST_BYTES_MAX) return true;
    // One that is gone by now still counts, as nothing: who asks for the next page skips by number.
    if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
      st = (struct stat){0};
    put_listed(w, dirfd(directory), entry->d_name, &st);
    bytes += ENTRY_COST + strlen(entry->d_name) + (S_ISLNK(st.st_mode) ? (size_t)st.st_size : 0);
    n++;
  }
  return false;
}

int path_list(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL;
  int64_t skip;
  if (file_path(f, &path, e) < 0) return -1;
  if (frame_int(f, K_OFFSET, 0, 0, INT64_MAX, &skip, e) < 0) return -1;
  DIR *directory = opendir(path);
  if (!directory) return FAIL_ERRNO(e, "listing %s", path);
  struct frame_writer w = frame_begin(&c->channel.output, F_DONE, f->id);
  put_int(&w, K_TRUNCATED, put_entries(&w, directory, skip));
  closedir(directory);
  return frame_end(&w, e);
}

int path_make(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL;
  int64_t mode, parents;
  struct stat st;
  if (file_path(f, &path, e) < 0) return -1;
  if (frame_int(f, K_MODE, 0755, 0, 07777, &mode, e) < 0) return -1;
  if (frame_int(f, K_MAKE_PARENTS, 0, 0, 1, &parents, e) < 0) return -1;
  if (parents && file_make_parents(path, e) < 0) return -1;
  bool there = parents && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
  if (!there && mkdir(path, 0700) < 0) return FAIL_ERRNO(e, "making directory %s", path);
  // Not by mkdir, whose mode the umask changes.
  if (!there && chmod(path, (mode_t)mode) < 0) return FAIL_ERRNO(e, "setting the mode of %s", path);
  return done(c, f->id, e);
}

int path_remove(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL;
  if (file_path(f, &path, e) < 0) return -1;
  if (unlink(path) == 0) return done(c, f->id, e);
  bool directory = errno == EISDIR || errno == EPERM;
  if (!directory || rmdir(path) < 0) return FAIL_ERRNO(e, "removing %s", path);
  return done(c, f->id, e);
}

int path_link(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL, *target = NULL;
  if (file_path(f, &path, e) < 0 || frame_text(f, K_TARGET, &target, e) < 0) return -1;
  if (!target || !*target) return FAIL(e, ERR_INVALID, "the request names no target for %s", path);
  if (symlink(target, path) < 0) return FAIL_ERRNO(e, "linking %s", path);
  return done(c, f->id, e);
}
