#include "connection.h"

#include <stdlib.h>
#include <unistd.h>

#include "files.h"
#include "identity.h"
#include "process.h"
#include "session.h"
#include "state.h"
#include "terminal.h"

void put_error(struct frame_writer *w, const struct error *reason) {
  put_text(w, K_KIND, error_kind_name(reason->kind));
  put_text(w, K_MESSAGE, reason->message);
  if (reason->err) put_int(w, K_ERRNO, reason->err);
}

static void answer_error(struct connection *c, uint32_t id, const struct error *reason) {
  struct error e;
  struct frame_writer w = frame_begin(&c->channel.output, F_ERROR, id);
  put_error(&w, reason);
  if (frame_end(&w, &e) < 0) connection_break(c);
}

static void abandon_all(struct connection *c) {
  while (!list_empty(&c->requests)) {
    struct request *r = CONTAINER(c->requests.next, struct request, link);
    request_detach(r);
    r->type->abandon(r);
  }
}

static int hello(struct connection *c, const struct frame *f, struct error *e) {
  int64_t version;
  if (f->type != F_HELLO) return FAIL(e, ERR_INVALID, "the first frame must be HELLO");
  if (frame_int(f, K_VERSION, 0, INT64_MIN, INT64_MAX, &version, e) < 0) return -1;
  if (version != PROTOCOL_VERSION)
    return FAIL(e, ERR_UNSUPPORTED, "this agent speaks protocol version %d, not %lld",
                PROTOCOL_VERSION, (long long)version);
  loop_disarm(&c->hello);
  abandon_all(c);
  c->greeted = true;
  struct frame_writer w = frame_begin(&c->channel.output, F_WELCOME, f->id);
  put_int(&w, K_VERSION, PROTOCOL_VERSION);
  put_int(&w, K_PID, getpid());
  put_int(&w, K_RUNTIME, c->agent->runtime.state);
  put_text(&w, K_MESSAGE, "forkd-agent " FORKD_VERSION);
  return frame_end(&w, e);
}

static struct request *find_request(struct connection *c, uint32_t id) {
  LIST_EACH(at, &c->requests) {
    struct request *r = CONTAINER(at, struct request, link);
    if (r->id == id) return r;
  }
  return NULL;
}

static int pong(struct connection *c, const struct frame *f, struct error *e) {
  struct frame_writer w = frame_begin(&c->channel.output, F_PONG, f->id);
  put_int(&w, K_RUNTIME, c->agent->runtime.state);
  if (c->agent->guest) identity_tell_kills(c->agent->guest, &w);
  return frame_end(&w, e);
}

// A frame about a request that is open. One whose request is over is no mistake: it crossed the
// answer on the way.
static int steer(struct connection *c, const struct frame *f, struct error *e) {
  int64_t number, bytes, stream, rows, columns;
  if (frame_int(f, K_SIGNAL, 1, 1, 64, &number, e) < 0) return -1;
  if (frame_int(f, K_BYTES, 0, 0, CREDIT_MAX, &bytes, e) < 0) return -1;
  if (frame_int(f, K_STREAM, 1, 0, 2, &stream, e) < 0) return -1;
  if (frame_int(f, K_ROWS, 1, 1, TERMINAL_SIDE_MAX, &rows, e) < 0) return -1;
  if (frame_int(f, K_COLUMNS, 1, 1, TERMINAL_SIDE_MAX, &columns, e) < 0) return -1;
  struct request *r = find_request(c, f->id);
  if (!r) return 0;
  if (f->type == F_INPUT && r->type->input) return r->type->input(r, f, e);
  if (f->type == F_WINDOW && r->type->window) r->type->window(r, (int)stream, bytes);
  if (f->type == F_SIGNAL && r->type->signal) r->type->signal(r, (int)number);
  if (f->type == F_RESIZE && r->type->resize) r->type->resize(r, rows, columns);
  if (f->type == F_CANCEL && r->type->cancel) r->type->cancel(r);
  return 0;
}

static int check_id(struct connection *c, uint32_t id, struct error *e) {
  if (id == 0) return FAIL(e, ERR_INVALID, "id 0 is kept for events: choose another");
  if (find_request(c, id)) return FAIL(e, ERR_INVALID, "id %u is still in use", id);
  if (c->open_requests >= CONNECTION_REQUESTS_MAX || c->agent->open_requests >= AGENT_REQUESTS_MAX)
    return FAIL(e, ERR_EXHAUSTED, "%zu requests are open: wait for one to end", c->open_requests);
  return 0;
}

typedef int (*opener)(struct connection *, const struct frame *, struct error *);

static opener opener_of(uint8_t type) {
  switch (type) {
    case F_PING: return pong;
    case F_PING_RUNTIME: return runtime_ping;
    case F_EXEC: return process_exec;
    case F_CALL: return process_call;
    case F_EVAL: return session_eval;
    case F_BRANCH: return session_branch;
    case F_READ_FILE: return file_read;
    case F_WRITE_FILE: return file_write;
    case F_IDENTITY: return identity_take;
    case F_STAT: return path_stat;
    case F_LIST: return path_list;
    case F_MAKE_DIRECTORY: return path_make;
    case F_REMOVE: return path_remove;
    case F_LINK: return path_link;
    default: return NULL;
  }
}

static int dispatch(struct connection *c, const struct frame *f, struct error *e) {
  // A restored virtual machine finds another host at its port, and never saw the first one leave.
  if (!c->greeted || (c->is_stream && f->type == F_HELLO)) return hello(c, f, e);
  if (f->type >= F_INPUT && f->type <= F_RESIZE) return steer(c, f, e);
  opener open_request = opener_of(f->type);
  if (!open_request && f->type != F_HELLO)
    return FAIL(e, ERR_INVALID, "unknown request 0x%02x", f->type);
  if (!open_request) FAIL(e, ERR_INVALID, "HELLO was said already");
  if (!open_request || check_id(c, f->id, e) < 0 || open_request(c, f, e) < 0)
    answer_error(c, f->id, e);
  return 0;
}

// The peer is not in step any more. It hears why, as far as it still listens.
static void give_up(struct connection *c, uint32_t id, const struct error *reason) {
  answer_error(c, id, reason);
  connection_break(c);
}

// The host has no use for descriptors here; keeping them would let it fill our table.
static void drop_fds(struct channel *channel) {
  int fd;
  while ((fd = channel_take_fd(channel)) >= 0) close(fd);
}

static void connection_ready(struct source *s, uint32_t events) {
  struct connection *c = CONTAINER(s, struct connection, source);
  struct error e;
  struct frame f;
  bool reading = s->events & EPOLLIN;
  if (c->broken) return;
  // A hang-up is seen by reading its end; while reading is paused there is nothing else to tell it.
  if (!reading && (events & (EPOLLHUP | EPOLLERR))) connection_break(c);
  if (!reading || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  int state = channel_read(&c->channel, &e), parsed;
  drop_fds(&c->channel);
  while (!c->broken && (parsed = channel_frame(&c->channel, &f, &e)) != 0) {
    if (parsed < 0) give_up(c, 0, &e);
    else if (dispatch(c, &f, &e) < 0) give_up(c, f.id, &e);
    else channel_done(&c->channel, &f);
  }
  if (state < 0) connection_break(c);
}

static void hello_late(struct timer *t) {
  connection_break(CONTAINER(t, struct connection, hello));
}

int connection_open(struct agent *a, int fd, bool is_stream, struct error *e) {
  struct connection *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    return FAIL(e, ERR_EXHAUSTED, "out of memory for a connection");
  }
  list_init(&c->requests);
  c->agent = a;
  c->is_stream = is_stream;
  c->hello.fire = hello_late;
  if (channel_open(&c->channel, fd, fd, e) < 0) {
    channel_close(&c->channel);
    free(c);
    return -1;
  }
  c->source = (struct source){.fd = fd, .ready = connection_ready};
  if (!is_stream) loop_arm(&a->loop, &c->hello, CONNECTION_HELLO_MS);
  list_append(&a->connections, &c->link);
  a->connection_count++;
  connection_settle(c);
  return 0;
}

void connection_break(struct connection *c) { c->broken = true; }

static void wake_requests(struct connection *c) {
  if (!c->congested || c->channel.output.length > CONNECTION_OUTPUT_SOFT / 2) return;
  c->congested = false;
  LIST_EACH(at, &c->requests) {
    struct request *r = CONTAINER(at, struct request, link);
    if (r->type->resume) r->type->resume(r);
  }
}

void connection_settle(struct connection *c) {
  struct error e;
  if (c->broken) return;
  if (channel_flush(&c->channel, &e) < 0) return connection_break(c);
  wake_requests(c);
  size_t queued = c->channel.output.length;
  uint32_t events = (queued ? EPOLLOUT : 0) | (queued <= CONNECTION_OUTPUT_HARD ? EPOLLIN : 0);
  if (loop_watch(&c->agent->loop, &c->source, events, &e) < 0) connection_break(c);
}

void connection_close(struct connection *c) {
  struct error ignored;
  // Best effort: an ERROR that tells why may still be queued.
  channel_flush(&c->channel, &ignored);
  loop_disarm(&c->hello);
  abandon_all(c);
  loop_watch(&c->agent->loop, &c->source, 0, &ignored);
  channel_close(&c->channel);
  list_remove(&c->link);
  c->agent->connection_count--;
  free(c);
}

void connections_tell_runtime_ended(struct agent *a) {
  LIST_EACH(at, &a->connections) {
    struct connection *c = CONTAINER(at, struct connection, link);
    struct error e;
    if (!c->greeted) continue;
    struct frame_writer w = frame_begin(&c->channel.output, F_RUNTIME_ENDED, 0);
    runtime_put_status(&a->runtime, &w);
    if (frame_end(&w, &e) < 0) connection_break(c);
  }
}
