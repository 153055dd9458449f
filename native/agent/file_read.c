#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "files.h"
#include "state.h"
#include "streams.h"

struct reading {
  struct request request;
  int fd;
  int64_t mode;
  int64_t left;   // of the request's limit; -1: to the end
  int64_t total;
  int64_t credit;
};

static struct reading *reading_of(struct request *r) {
  return CONTAINER(r, struct reading, request);
}

int file_path(const struct frame *f, char **out, struct error *e) {
  if (frame_text(f, K_PATH, out, e) < 0) return -1;
  if (!*out) return FAIL(e, ERR_INVALID, "the request names no path");
  return **out == '/' ? 0 : FAIL(e, ERR_INVALID, "%s is not an absolute path", *out);
}

static void finish(struct reading *r) {
  struct frame_writer w = request_frame(&r->request, F_DONE);
  put_int(&w, K_BYTES, r->total);
  put_int(&w, K_MODE, r->mode);
  request_send(&r->request, &w);
  request_end(&r->request);
}

// Reads until credit, room or the file ends; each of them that returns calls again.
static void pump(struct reading *r) {
  uint8_t data[FRAME_DATA_MAX];
  struct error e;
  while (!r->request.ended && r->left != 0 && r->credit > 0 && !request_congested(&r->request)) {
    int64_t wanted = r->credit < FRAME_DATA_MAX ? r->credit : FRAME_DATA_MAX;
    if (r->left > 0 && r->left < wanted) wanted = r->left;
    ssize_t n = read(r->fd, data, (size_t)wanted);
    if (n < 0) {
      FAIL_ERRNO(&e, "reading after %lld bytes", (long long)r->total);
      return request_fail(&r->request, &e);
    }
    if (n == 0) return finish(r);
    struct frame_writer w = request_frame(&r->request, F_OUTPUT);
    put_int(&w, K_STREAM, 1);
    put_bytes(&w, K_DATA, data, (size_t)n);
    request_send(&r->request, &w);
    r->credit -= n;
    r->total += n;
    if (r->left > 0) r->left -= n;
  }
  if (r->left == 0 && !r->request.ended) finish(r);
}

static void on_window(struct request *request, int stream, int64_t bytes) {
  struct reading *r = reading_of(request);
  if (stream != 1) return;
  r->credit = r->credit > CREDIT_MAX - bytes ? CREDIT_MAX : r->credit + bytes;
  pump(r);
}

static void on_resume(struct request *request) { pump(reading_of(request)); }

static void on_cancel(struct request *request) {
  struct error e;
  FAIL(&e, ERR_TIMEOUT, "the transfer was cancelled");
  request_fail(request, &e);
}

static void on_release(struct request *request) {
  struct reading *r = reading_of(request);
  if (r->fd >= 0) close(r->fd);
  free(r);
}

static const struct request_type reading_type = {
    .window = on_window,
    .cancel = on_cancel,
    .resume = on_resume,
    .abandon = request_end,
    .release = on_release,
};

static int check_regular(const struct stat *st, const char *path, struct error *e) {
  if (S_ISREG(st->st_mode)) return 0;
  return FAIL(e, ERR_INVALID, "%s is %s, not a regular file", path,
              S_ISDIR(st->st_mode) ? "a directory" : "a pipe, socket or device");
}

// Looked at before it is opened, since opening a device may do something, and again afterwards,
// since it may be another file by then.
static int open_regular(struct reading *r, const char *path, int64_t offset, struct error *e) {
  struct stat st;
  if (stat(path, &st) < 0) return FAIL_ERRNO(e, "reading %s", path);
  if (check_regular(&st, path, e) < 0) return -1;
  r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (r->fd < 0 || fstat(r->fd, &st) < 0) return FAIL_ERRNO(e, "reading %s", path);
  if (check_regular(&st, path, e) < 0) return -1;
  r->mode = st.st_mode & 07777;
  return lseek(r->fd, offset, SEEK_SET) < 0 ? FAIL_ERRNO(e, "reading %s", path) : 0;
}

static int prepare(struct reading *r, const struct frame *f, struct error *e) {
  cleanup_free char *path = NULL;
  int64_t offset, limit;
  if (file_path(f, &path, e) < 0) return -1;
  if (frame_int(f, K_OFFSET, 0, 0, INT64_MAX, &offset, e) < 0) return -1;
  if (frame_int(f, K_BYTES, 0, 0, INT64_MAX, &limit, e) < 0) return -1;
  if (frame_int(f, K_WINDOW, FRAME_DEFAULT_WINDOW, 0, CREDIT_MAX, &r->credit, e) < 0) return -1;
  r->left = limit == 0 ? -1 : limit;
  return open_regular(r, path, offset, e);
}

int file_read(struct connection *c, const struct frame *f, struct error *e) {
  struct reading *r = calloc(1, sizeof *r);
  if (!r) return FAIL(e, ERR_EXHAUSTED, "out of memory for a request");
  r->fd = -1;
  if (prepare(r, f, e) < 0) {
    on_release(&r->request);
    return -1;
  }
  request_open(&r->request, &reading_type, c, f->id);
  pump(r);
  return 0;
}
