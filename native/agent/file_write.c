#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "files.h"
#include "state.h"
#include "streams.h"

struct writing {
  struct request request;
  int directory;       // of the target
  int fd;              // the temporary file beside it; -1 once it is in place
  char temporary[32];  // its name
  char *path;          // of the target; its last part is `name`
  const char *name;
  mode_t mode;
  int64_t total;
};

static struct writing *writing_of(struct request *r) {
  return CONTAINER(r, struct writing, request);
}

static void release(struct writing *w) {
  if (w->fd >= 0) {
    close(w->fd);
    unlinkat(w->directory, w->temporary, 0);
  }
  if (w->directory >= 0) close(w->directory);
  free(w->path);
  free(w);
}

static void on_release(struct request *r) { release(writing_of(r)); }

static int put_in_place(struct writing *w, struct error *e) {
  if (fchmod(w->fd, w->mode) < 0) return FAIL_ERRNO(e, "setting the mode of %s", w->path);
  if (renameat(w->directory, w->temporary, w->directory, w->name) < 0)
    return FAIL_ERRNO(e, "putting %s in place", w->path);
  close(w->fd);
  w->fd = -1;
  return 0;
}

static int take(struct writing *w, const struct field *data, struct error *e) {
  for (size_t at = 0; at < data->length;) {
    ssize_t n = write(w->fd, data->bytes + at, data->length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FAIL_ERRNO(e, "writing %s", w->path);
    at += (size_t)n;
  }
  w->total += (int64_t)data->length;
  return 0;
}

static void answer(struct writing *w, uint8_t type, uint8_t key, int64_t value, uint8_t key2,
                   int64_t value2) {
  struct frame_writer out = request_frame(&w->request, type);
  put_int(&out, key, value);
  put_int(&out, key2, value2);
  request_send(&w->request, &out);
}

static int on_input(struct request *r, const struct frame *f, struct error *e) {
  struct writing *w = writing_of(r);
  struct error reason;
  struct field data;
  bool eof;
  if (input_parse(f, &data, &eof, e) < 0) return -1;
  if (take(w, &data, &reason) < 0 || (eof && put_in_place(w, &reason) < 0)) {
    request_fail(r, &reason);
    return 0;
  }
  if (!eof) {
    if (data.length) answer(w, F_WINDOW_STDIN, K_STREAM, 0, K_BYTES, (int64_t)data.length);
    return 0;
  }
  answer(w, F_DONE, K_BYTES, w->total, K_MODE, w->mode);
  request_end(r);
  return 0;
}

static void on_cancel(struct request *r) {
  struct error e;
  FAIL(&e, ERR_TIMEOUT, "writing %s was cancelled: the old file is unchanged", writing_of(r)->path);
  request_fail(r, &e);
}

static const struct request_type writing_type = {
    .input = on_input,
    .cancel = on_cancel,
    .abandon = request_end,
    .release = on_release,
};

int file_make_parents(char *path, struct error *e) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    int failed = mkdir(path, 0755) < 0 && errno != EEXIST ? errno : 0;
    if (failed) error_set(e, error_kind_of(failed), failed, "making directory %s", path);
    *slash = '/';
    if (failed) return -1;
  }
  return 0;
}

// A link is followed, so that what is replaced is the file and not the link; one that leads nowhere
// is replaced itself.
static int follow_link(struct writing *w, struct error *e) {
  struct stat st;
  if (lstat(w->path, &st) < 0 || !S_ISLNK(st.st_mode)) return 0;
  char *real = realpath(w->path, NULL);
  if (!real) return errno == ENOENT ? 0 : FAIL_ERRNO(e, "following the link %s", w->path);
  free(w->path);
  w->path = real;
  return 0;
}

static int open_directory(struct writing *w, struct error *e) {
  char *slash = strrchr(w->path, '/');
  w->name = slash + 1;
  if (!*w->name || strcmp(w->name, ".") == 0 || strcmp(w->name, "..") == 0)
    return FAIL(e, ERR_INVALID, "%s names a directory", w->path);
  *slash = 0;
  w->directory = open(slash == w->path ? "/" : w->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int err = errno;
  *slash = '/';
  errno = err;
  return w->directory < 0 ? FAIL_ERRNO(e, "opening the directory of %s", w->path) : 0;
}

static int open_temporary(struct writing *w, struct error *e) {
  uint64_t tag;
  // Nobody in the sandbox can guess the name and be there first; O_EXCL refuses it if one did.
  if (getrandom(&tag, sizeof tag, 0) != sizeof tag) return FAIL_ERRNO(e, "getrandom");
  snprintf(w->temporary, sizeof w->temporary, ".forkd-%016llx", (unsigned long long)tag);
  w->fd = openat(w->directory, w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 0600);
  return w->fd < 0 ? FAIL_ERRNO(e, "writing beside %s", w->path) : 0;
}

// The new file belongs to whom the old one belonged to, and keeps its mode unless told otherwise.
static int inherit(struct writing *w, int64_t mode, struct error *e) {
  struct stat st;
  w->mode = mode < 0 ? 0644 : (mode_t)mode;
  if (fstatat(w->directory, w->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : FAIL_ERRNO(e, "looking at %s", w->path);
  if (S_ISLNK(st.st_mode)) return 0;
  if (!S_ISREG(st.st_mode))
    return FAIL(e, ERR_INVALID, "%s is %s, not a regular file", w->path,
                S_ISDIR(st.st_mode) ? "a directory" : "a pipe, socket or device");
  if (mode < 0) w->mode = st.st_mode & 07777;
  bool ours = st.st_uid == geteuid() && st.st_gid == getegid();
  if (!ours && fchown(w->fd, st.st_uid, st.st_gid) < 0)
    return FAIL_ERRNO(e, "giving %s to its owner", w->path);
  return 0;
}

static int prepare(struct writing *w, const struct frame *f, struct error *e) {
  int64_t mode, parents;
  if (file_path(f, &w->path, e) < 0) return -1;
  if (frame_int(f, K_MODE, -1, 0, 07777, &mode, e) < 0) return -1;
  if (frame_int(f, K_MAKE_PARENTS, 0, 0, 1, &parents, e) < 0) return -1;
  if (parents && file_make_parents(w->path, e) < 0) return -1;
  if (follow_link(w, e) < 0 || open_directory(w, e) < 0) return -1;
  if (open_temporary(w, e) < 0) return -1;
  return inherit(w, mode, e);
}

int file_write(struct connection *c, const struct frame *f, struct error *e) {
  struct writing *w = calloc(1, sizeof *w);
  if (!w) return FAIL(e, ERR_EXHAUSTED, "out of memory for a request");
  w->directory = w->fd = -1;
  if (prepare(w, f, e) < 0) {
    release(w);
    return -1;
  }
  request_open(&w->request, &writing_type, c, f->id);
  struct frame_writer out = request_frame(&w->request, F_STARTED);
  request_send(&w->request, &out);
  return 0;
}
