// One connection of the host: the handshake, the table of open requests, bounded output.
#pragma once
#include "../common/channel.h"
#include "loop.h"

enum {
  CONNECTIONS_MAX = 8,
  CONNECTION_REQUESTS_MAX = 256,
  CONNECTION_OUTPUT_SOFT = 262144,  // queued output beyond which pipes and files are not read
  CONNECTION_OUTPUT_HARD = 1048576, // beyond which no further request is read either
  CONNECTION_HELLO_MS = 10000,      // a peer that says nothing must not hold one of eight places
};

struct agent;

struct connection {
  struct agent *agent;
  struct channel channel;
  struct source source; // same descriptor as the channel, which owns it
  struct timer hello;
  struct node link;
  struct node requests;
  size_t open_requests;
  bool is_stream;
  bool greeted;
  bool congested; // some request waits for room in the output
  bool broken;    // to be closed when the current step is over
};

// Takes ownership of fd. A peer that connected by itself has CONNECTION_HELLO_MS for its first
// frame; the host at the other end of the one `is_stream` may come at any time.
int connection_open(struct agent *a, int fd, bool is_stream, struct error *e);
// Marks the connection for closing; nothing more is read from it.
void connection_break(struct connection *c);
// Sends what is queued, wakes waiting requests, and says what epoll should wait for.
void connection_settle(struct connection *c);
// Kills what the connection started and frees it.
void connection_close(struct connection *c);
// Sends RUNTIME_ENDED to every connection that has said HELLO.
void connections_tell_runtime_ended(struct agent *a);
// The fields of an ERROR frame.
void put_error(struct frame_writer *w, const struct error *reason);
