// Questions for names: what a sandbox asks at 10.42.0.1 goes to the daemon, which answers. Nothing
// of a message is looked at here. On both pipes a message is two bytes of length, two of the port
// it is from or for, and itself; the first one says that the port is open and is empty.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

// A question is written in one piece or not at all (pipe(7), PIPE_BUF): one too many is dropped, as
// any datagram may be, and who asked asks again.
enum { PORT = 53, HEAD = 4, QUESTION_MAX = 1232, ANSWER_MAX = 4096 };

struct answers {
  unsigned char bytes[HEAD + ANSWER_MAX];
  size_t length;
};

static int open_port(struct error *e) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  int yes = 1;
  inet_pton(AF_INET, "10.42.0.1", &at.sin_addr);
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // The address may be given to the device only later.
  if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes) < 0 ||
      bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
    return FAIL_ERRNO(e, "port %d of the network", PORT);
  return steal_fd(&fd);
}

static void pass_question(int port, struct in_addr sandbox) {
  unsigned char message[HEAD + QUESTION_MAX];
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  ssize_t n = recvfrom(port, message + HEAD, QUESTION_MAX, MSG_TRUNC, (struct sockaddr *)&from,
                       &size);
  if (n <= 0 || n > QUESTION_MAX || from.sin_addr.s_addr != sandbox.s_addr) return;
  struct pollfd out = {.fd = 1, .events = POLLOUT};
  if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) return;
  message[0] = (unsigned char)(n >> 8);
  message[1] = (unsigned char)n;
  memcpy(message + 2, &from.sin_port, 2);
  if (write(1, message, HEAD + (size_t)n) < 0) return; // the daemon is gone: stdin tells it
}

static size_t length_of(const struct answers *a) {
  return (size_t)a->bytes[0] << 8 | a->bytes[1];
}

// 0: the daemon is gone.
static int take_answers(struct answers *a, int port, struct in_addr sandbox, struct error *e) {
  ssize_t n = read(0, a->bytes + a->length, sizeof a->bytes - a->length);
  if (n < 0) return errno == EINTR ? 1 : FAIL_ERRNO(e, "reading answers");
  a->length += (size_t)n;
  while (a->length >= HEAD) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = sandbox};
    size_t length = length_of(a);
    if (length > ANSWER_MAX) return FAIL(e, ERR_INVALID, "an answer of %zu bytes", length);
    if (a->length < HEAD + length) break;
    memcpy(&to.sin_port, a->bytes + 2, 2);
    // Lost when the sandbox has gone, as any datagram may be.
    (void)sendto(port, a->bytes + HEAD, length, 0, (struct sockaddr *)&to, sizeof to);
    a->length -= HEAD + length;
    memmove(a->bytes, a->bytes + HEAD + length, a->length);
  }
  return n > 0;
}

int questions(const char *name, struct error *e) {
  static struct answers pending;
  struct in_addr sandbox;
  inet_pton(AF_INET, "10.42.0.2", &sandbox);
  signal(SIGPIPE, SIG_IGN);
  if (net_enter(name, e) < 0) return -1;
  cleanup_fd int port = open_port(e);
  if (port < 0 || become_nobody(e) < 0) return -1;
  if (write(1, (const char[HEAD]){0}, HEAD) != HEAD) return FAIL_ERRNO(e, "telling the daemon");
  for (;;) {
    struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = port, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return FAIL_ERRNO(e, "poll");
    if (fds[1].revents) pass_question(port, sandbox);
    if (!fds[0].revents) continue;
    int more = take_answers(&pending, port, sandbox, e);
    if (more <= 0) return more;
  }
}
