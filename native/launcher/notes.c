#define _GNU_SOURCE
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
