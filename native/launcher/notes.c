#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "setup.h"

int note_send(int socket, enum note_kind note, const struct error *why) {
  struct setup_note message = {.note = note};
  if (why) message.error = *why;
  return send(socket, &message, sizeof message, MSG_NOSIGNAL) == sizeof message ? 0 : -1;
}

int note_wait(int socket, enum note_kind wanted, struct error *e) {
  struct setup_note message;
  ssize_t n;
  do n = recv(socket, &message, sizeof message, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) return FAIL_ERRNO(e, "waiting for the warden");
  if (n != sizeof message || message.note != wanted)
    return FAIL(e, ERR_INTERNAL, "the warden went away during a setup");
  return 0;
}

int note_send_fd(int socket, enum note_kind note, int fd) {
  struct setup_note message = {.note = note};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof fd)];
  } control = {0};
  struct iovec part = {&message, sizeof message};
  struct msghdr m = {.msg_iov = &part,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(socket, &m, MSG_NOSIGNAL) == sizeof message ? 0 : -1;
}

ssize_t note_take(int socket, struct setup_note *note, int *fd) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof *fd)];
  } control = {0};
  struct iovec part = {note, sizeof *note};
  struct msghdr m = {.msg_iov = &part,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  *fd = -1;
  ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
      c->cmsg_len == CMSG_LEN(sizeof *fd))
    memcpy(fd, CMSG_DATA(c), sizeof *fd);
  return n;
}
