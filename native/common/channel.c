#define _GNU_SOURCE
#include "channel.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int set_nonblocking(int fd, struct error *e) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return FAIL_ERRNO(e, "fcntl(%d, O_NONBLOCK)", fd);
  return 0;
}

int channel_open(struct channel *c, int in, int out, struct error *e) {
  struct stat st;
  *c = (struct channel){.in = in, .out = out};
  if (fstat(in, &st) < 0) return FAIL_ERRNO(e, "fstat of a channel");
  c->is_socket = S_ISSOCK(st.st_mode);
  if (set_nonblocking(in, e) < 0) return -1;
  return out == in ? 0 : set_nonblocking(out, e);
}

void channel_close(struct channel *c) {
  for (size_t i = 0; i < c->fd_count; i++) close(c->fds[i]);
  if (c->in >= 0) close(c->in);
  if (c->out >= 0 && c->out != c->in) close(c->out);
  buffer_free(&c->input);
  buffer_free(&c->output);
  *c = (struct channel){.in = -1, .out = -1};
}

// The peer may send more descriptors than we have room for: those are closed, not kept.
static void keep_fds(struct channel *c, struct msghdr *msg) {
  for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      if (c->fd_count < CHANNEL_FDS_MAX) c->fds[c->fd_count++] = fd;
      else close(fd);
    }
  }
}

static ssize_t receive(struct channel *c, uint8_t *chunk, size_t size) {
  if (!c->is_socket) return read(c->in, chunk, size);
  union {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr align;
  } control;
  struct iovec iov = {.iov_base = chunk, .iov_len = size};
  struct msghdr msg = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
  ssize_t n = recvmsg(c->in, &msg, MSG_CMSG_CLOEXEC);
  if (n > 0) keep_fds(c, &msg);
  return n;
}

int channel_read(struct channel *c, struct error *e) {
  uint8_t chunk[65536];
  ssize_t n;
  do n = receive(c, chunk, sizeof chunk);
  while (n < 0 && errno == EINTR);
  if (n == 0) return FAIL(e, ERR_IO, "the peer closed the channel");
  if (n < 0 && errno == EAGAIN) return 0;
  if (n < 0) return FAIL_ERRNO(e, "reading a channel");
  return buffer_append(&c->input, chunk, (size_t)n, e) < 0 ? -1 : 1;
}

int channel_flush(struct channel *c, struct error *e) {
  size_t sent = 0;
  int result = 1;
  while (sent < c->output.length) {
    const uint8_t *from = c->output.bytes + sent;
    size_t left = c->output.length - sent;
    ssize_t n = c->is_socket ? send(c->out, from, left, MSG_NOSIGNAL) : write(c->out, from, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      result = errno == EAGAIN ? 0 : FAIL_ERRNO(e, "writing a channel");
      break;
    }
    sent += (size_t)n;
  }
  if (sent) buffer_consume(&c->output, sent);
  return result;
}

int channel_frame(struct channel *c, struct frame *out, struct error *e) {
  return frame_parse(c->input.bytes, c->input.length, out, e);
}

void channel_done(struct channel *c, const struct frame *f) { buffer_consume(&c->input, f->total); }

int channel_take_fd(struct channel *c) {
  if (c->fd_count == 0) return -1;
  int fd = c->fds[0];
  memmove(c->fds, c->fds + 1, --c->fd_count * sizeof fd);
  return fd;
}

static int wait_writable(struct channel *c, int timeout_ms, struct error *e) {
  struct pollfd p = {.fd = c->out, .events = POLLOUT};
  int n;
  do n = poll(&p, 1, timeout_ms);
  while (n < 0 && errno == EINTR);
  if (n == 0) return FAIL(e, ERR_TIMEOUT, "a channel took nothing for %d ms", timeout_ms);
  return n < 0 ? FAIL_ERRNO(e, "poll of a channel") : 0;
}

static int flush_all(struct channel *c, int timeout_ms, struct error *e) {
  int state;
  while ((state = channel_flush(c, e)) == 0)
    if (wait_writable(c, timeout_ms, e) < 0) return -1;
  return state < 0 ? -1 : 0;
}

int channel_try_send_with_fds(struct channel *c, const struct buffer *frame, const int *fds,
                              size_t n, struct error *e) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    struct cmsghdr align;
  } control = {0};
  if (n > CHANNEL_FDS_MAX)
    return FAIL(e, ERR_INVALID, "too many descriptors for one frame: %zu", n);
  int flushed = channel_flush(c, e);
  if (flushed != 1) return flushed;
  struct iovec iov = {.iov_base = frame->bytes, .iov_len = frame->length};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (n) {
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int) * n);
    memcpy(CMSG_DATA(h), fds, sizeof(int) * n);
  }
  ssize_t sent;
  do sent = sendmsg(c->out, &msg, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EAGAIN) return 0;
  if (sent < 0) return FAIL_ERRNO(e, "sending descriptors");
  // The descriptors went with the first byte; the rest is ordinary output.
  size_t rest = frame->length - (size_t)sent;
  return buffer_append(&c->output, frame->bytes + sent, rest, e) < 0 ? -1 : 1;
}

int channel_send_with_fds(struct channel *c, const struct buffer *frame, const int *fds, size_t n,
                          int timeout_ms, struct error *e) {
  int state;
  while ((state = channel_try_send_with_fds(c, frame, fds, n, e)) == 0)
    if (wait_writable(c, timeout_ms, e) < 0) return -1;
  return state < 0 ? -1 : flush_all(c, timeout_ms, e);
}

bool channel_wants_write(const struct channel *c) { return c->output.length > 0; }

bool channel_full(const struct channel *c) { return c->output.length > CHANNEL_OUT_MAX; }
