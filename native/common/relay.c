#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool would_block(void) { return errno == EAGAIN || errno == EINTR; }

bool relay_move(struct relay *r, int in, int out) {
  if (r->from == r->to && !r->ended) {
    ssize_t n = read(in, r->bytes, RELAY_BUFFER);
    if (n < 0 && !would_block()) return false;
    r->from = 0;
    r->to = n > 0 ? (size_t)n : 0;
    r->ended = n == 0;
  }
  if (r->from < r->to) {
    ssize_t n = write(out, r->bytes + r->from, r->to - r->from);
    if (n < 0 && !would_block()) return false;
    r->from += n > 0 ? (size_t)n : 0;
  }
  if (r->from == r->to && r->ended && !r->passed_on) {
    if (shutdown(out, SHUT_WR) < 0 && errno != ENOTSOCK) return false;
    r->passed_on = true;
  }
  return true;
}

short relay_events(const struct relay *reads, const struct relay *writes) {
  short events = 0;
  if (reads->from == reads->to && !reads->ended) events |= POLLIN;
  if (writes->from < writes->to) events |= POLLOUT;
  return events;
}
