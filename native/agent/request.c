#include "request.h"

#include "connection.h"
#include "state.h"

void request_open(struct request *r, const struct request_type *type, struct connection *c,
                  uint32_t id) {
  r->type = type;
  r->agent = c->agent;
  r->connection = c;
  r->id = id;
  r->ended = false;
  list_append(&c->requests, &r->link);
  c->open_requests++;
  c->agent->open_requests++;
}

struct frame_writer request_frame(struct request *r, uint8_t type) {
  bool heard = r->connection && !r->ended;
  struct buffer *out = heard ? &r->connection->channel.output : &r->agent->nowhere;
  return frame_begin(out, type, r->id);
}

void request_send(struct request *r, struct frame_writer *w) {
  struct error e;
  // Out of memory: a frame is missing now, so the stream of answers makes no sense any more.
  if (frame_end(w, &e) < 0 && r->connection) connection_break(r->connection);
  r->agent->nowhere.length = 0;
}

void request_fail(struct request *r, const struct error *reason) {
  if (r->ended) return;
  struct frame_writer w = request_frame(r, F_ERROR);
  put_error(&w, reason);
  request_send(r, &w);
  request_end(r);
}

void request_end(struct request *r) {
  if (r->ended) return;
  r->ended = true;
  list_remove(&r->link);
  if (r->connection) r->connection->open_requests--;
  r->agent->open_requests--;
  list_append(&r->agent->ended_requests, &r->link);
}

void request_detach(struct request *r) {
  if (r->ended || !r->connection) return;
  list_remove(&r->link);
  list_append(&r->agent->abandoned_requests, &r->link);
  r->connection->open_requests--;
  r->connection = NULL;
}

bool request_congested(const struct request *r) {
  if (!r->connection) return false;
  if (r->connection->channel.output.length <= CONNECTION_OUTPUT_SOFT) return false;
  r->connection->congested = true;
  return true;
}
