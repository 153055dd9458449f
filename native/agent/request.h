// What a connection asked for and is not answered yet. EXEC, CALL, EVAL, the file transfers and
// PING_RUNTIME each embed a request as their first member.
#pragma once
#include <stdbool.h>

#include "../common/frame.h"
#include "list.h"

enum { GRACE_DEFAULT_MS = 2000, GRACE_MAX_MS = 60000 };
#define TIMEOUT_MAX_MS (INT64_C(1) << 40)

struct agent;
struct connection;
struct request;

// The operations are optional, except `abandon` and `release`.
struct request_type {
  // -1: the host broke the protocol; the connection ends.
  int (*input)(struct request *, const struct frame *, struct error *);
  void (*window)(struct request *, int stream, int64_t bytes);
  void (*signal)(struct request *, int number);
  void (*cancel)(struct request *);
  void (*resize)(struct request *, int64_t rows, int64_t columns);
  // The connection took its queued output: reading may go on.
  void (*resume)(struct request *);
  // The connection is gone (`connection` is NULL already). Ends the request, now or later.
  void (*abandon)(struct request *);
  // Frees what it holds and the request itself.
  void (*release)(struct request *);
};

struct request {
  const struct request_type *type;
  struct agent *agent;
  struct connection *connection; // NULL once abandoned: answers go nowhere
  uint32_t id;
  struct node link;
  bool ended;
};

// Enters the request into the table of its connection.
void request_open(struct request *r, const struct request_type *type, struct connection *c,
                  uint32_t id);
// An answer: request_frame, put_*, request_send.
struct frame_writer request_frame(struct request *r, uint8_t type);
void request_send(struct request *r, struct frame_writer *w);
// Sends ERROR and ends the request.
void request_fail(struct request *r, const struct error *reason);
// Takes the request out of the table. Its memory lives until the current step of the loop is over,
// so that no caller up the stack is left with a dangling pointer.
void request_end(struct request *r);
// Frees the request's place at its connection, which has had its last answer, while the request
// itself lives on until its process is gone.
void request_detach(struct request *r);
// True while the connection has more queued output than it should: stop producing.
bool request_congested(const struct request *r);
