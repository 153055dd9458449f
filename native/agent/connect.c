#define _GNU_SOURCE
#include "connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/relay.h"

static int try_address(const struct sockaddr *address, socklen_t size) {
  int fd = socket(address->sa_family, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, address, size) == 0) return fd;
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

int connect_open(int port) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  six.sin6_addr = in6addr_loopback;
  int fd = try_address((struct sockaddr *)&four, sizeof four);
  int why = errno;
  if (fd < 0) fd = try_address((struct sockaddr *)&six, sizeof six);
  errno = why; // that of the usual address
  return fd;
}

// This process is a fork of the agent that executes nothing: it must not be looked into.
_Noreturn void connect_relay(int connection) {
  static struct relay up, down;
  struct error e;
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGPIPE, SIG_IGN);
  if (set_nonblocking(0, &e) < 0 || set_nonblocking(1, &e) < 0 ||
      set_nonblocking(connection, &e) < 0)
    _exit(1);
  while (!down.passed_on) {
    short in = relay_events(&up, &down), out = relay_events(&down, &up);
    struct pollfd fds[] = {
        // Without a wish a descriptor would wake the poll by its end, again and again.
        {.fd = in & POLLIN ? 0 : -1, .events = POLLIN},
        {.fd = in & POLLOUT ? 1 : -1, .events = POLLOUT},
        {.fd = out ? connection : -1, .events = out},
    };
    if (poll(fds, 3, -1) < 0 && errno != EINTR) _exit(1);
    // Who answers without having read everything is heard nevertheless.
    if (!relay_move(&up, 0, connection)) up = (struct relay){.ended = true, .passed_on = true};
    if (!relay_move(&down, connection, 1)) _exit(1);
  }
  _exit(0);
}
