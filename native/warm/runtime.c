#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "warm.h"

int runtime_connect(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct ucred peer;
  socklen_t size = sizeof peer;
  cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  memcpy(address.sun_path + 1, SOCKET_NAME, strlen(SOCKET_NAME));
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(SOCKET_NAME);
  // Non-blocking only while it connects: a full queue means cold, not a wait.
  if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
      connect(fd, (struct sockaddr *)&address, length) < 0 || fcntl(fd, F_SETFL, 0) < 0)
    return -1;
  // Any process of the sandbox can take the name; only this user's may have our descriptors.
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) return -1;
  return steal_fd(&fd);
}

int runtime_send(int socket, const struct caller *caller, const struct buffer *frame) {
  int fds[DESCRIPTORS_MAX + 1];
  char control[CMSG_SPACE(sizeof fds)] = {0};
  cleanup_fd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (cwd < 0) return -1;
  size_t size = (caller->count + 1) * sizeof *fds;
  fds[0] = cwd;
  memcpy(fds + 1, caller->numbers, caller->count * sizeof *fds);
  struct iovec bytes = {frame->bytes, frame->length};
  struct msghdr message = {.msg_iov = &bytes,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE(size)};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(rights), fds, size);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)frame->length ? 0 : -1;
}

static int take_descriptor(struct msghdr *message) {
  struct cmsghdr *rights = CMSG_FIRSTHDR(message);
  int fd = -1;
  if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
      rights->cmsg_len == CMSG_LEN(sizeof fd))
    memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return fd;
}

static void copy_reason(const struct frame *answer, char *why, size_t size) {
  struct field message;
  if (answer->type == WARM_COLD && frame_find(answer, K_MESSAGE, &message))
    snprintf(why, size, "%.*s", (int)(message.length < size ? message.length : size),
             (const char *)message.bytes);
}

int runtime_started(int socket, char *why, size_t size) {
  uint8_t bytes[4096];
  char control[CMSG_SPACE(sizeof(int))];
  struct error e;
  struct frame answer;
  struct iovec into = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &into,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  struct pollfd wait = {.fd = socket, .events = POLLIN};
  snprintf(why, size, "the warm interpreter did not answer");
  if (poll(&wait, 1, ANSWER_MS) <= 0) return -1;
  ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (n <= 0 || frame_parse(bytes, (size_t)n, &answer, &e) != 1) return -1;
  copy_reason(&answer, why, size);
  return answer.type == WARM_RUNNING ? take_descriptor(&message) : -1;
}
