#define _GNU_SOURCE
#include "streams.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "process.h"
#include "state.h"

void output_update(struct output_stream *s) {
  struct error e;
  if (s->source.fd < 0) return;
  // Not before STARTED is sent: what a fast command prints may be readable before the word that it
  // started is.
  bool wanted = s->owner->started && s->credit > 0 && !request_congested(&s->owner->request);
  struct loop *loop = &s->owner->request.agent->loop;
  if (loop_watch(loop, &s->source, wanted ? EPOLLIN : 0, &e) < 0) output_close(s);
}

void output_add_credit(struct output_stream *s, int64_t bytes) {
  s->credit = s->credit > CREDIT_MAX - bytes ? CREDIT_MAX : s->credit + bytes;
  output_update(s);
}

void output_close(struct output_stream *s) {
  loop_shut(&s->owner->request.agent->loop, &s->source);
  process_progress(s->owner);
}

void output_cut(struct output_stream *s, bool discard) {
  int queued = 0;
  if (s->source.fd < 0) return;
  if (!discard && ioctl(s->source.fd, FIONREAD, &queued) < 0) queued = 0;
  s->rest = queued;
  if (queued == 0) output_close(s);
}

static size_t allowed(const struct output_stream *s) {
  int64_t n = FRAME_DATA_MAX;
  if (s->credit < n) n = s->credit;
  if (s->rest >= 0 && s->rest < n) n = s->rest;
  return (size_t)n;
}

void output_ready(struct source *source, uint32_t events) {
  struct output_stream *s = CONTAINER(source, struct output_stream, source);
  uint8_t data[FRAME_DATA_MAX];
  (void)events; // a hang-up is told by read as well, after the data
  ssize_t n = read(source->fd, data, allowed(s));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return output_close(s);
  struct frame_writer w = request_frame(&s->owner->request, F_OUTPUT);
  put_int(&w, K_STREAM, s->number);
  put_bytes(&w, K_DATA, data, (size_t)n);
  request_send(&s->owner->request, &w);
  s->credit -= n;
  if (s->rest >= 0 && (s->rest -= n) == 0) return output_close(s);
  output_update(s);
}

static void return_credit(struct input_stream *s) {
  if (s->unreturned == 0) return;
  struct frame_writer w = request_frame(&s->owner->request, F_WINDOW_STDIN);
  put_int(&w, K_STREAM, 0);
  put_int(&w, K_BYTES, (int64_t)s->unreturned);
  request_send(&s->owner->request, &w);
  s->unreturned = 0;
}

// The reader has gone (or never was): further input is taken and dropped, so that a host which
// feeds a command that does not listen is not left waiting for credit.
void input_close(struct input_stream *s) {
  loop_shut(&s->owner->request.agent->loop, &s->source);
  s->unreturned += s->queue.length;
  buffer_free(&s->queue);
}

static void write_queue(struct input_stream *s) {
  struct error e;
  while (s->queue.length) {
    ssize_t n = write(s->source.fd, s->queue.bytes, s->queue.length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return input_close(s);
    buffer_consume(&s->queue, (size_t)n);
    s->unreturned += (size_t)n;
  }
  if (s->queue.length == 0 && s->eof) {
    // As a person ends input; a terminal that is full of unread input has other worries.
    if (s->terminal && write(s->source.fd, "\x04", 1) < 0) return input_close(s);
    return input_close(s);
  }
  uint32_t events = s->queue.length ? EPOLLOUT : 0;
  if (loop_watch(&s->owner->request.agent->loop, &s->source, events, &e) < 0) input_close(s);
}

void input_ready(struct source *source, uint32_t events) {
  struct input_stream *s = CONTAINER(source, struct input_stream, source);
  (void)events; // a reader that went away is told by write
  write_queue(s);
  return_credit(s);
}

int input_parse(const struct frame *f, struct field *data, bool *eof, struct error *e) {
  int64_t flag;
  *data = (struct field){.key = K_DATA};
  if (!frame_find(f, K_DATA, data)) data->length = 0;
  if (data->length > FRAME_DATA_MAX)
    return FAIL(e, ERR_INVALID, "%zu bytes of input in one frame, at most %d are allowed",
                data->length, FRAME_DATA_MAX);
  if (frame_int(f, K_EOF, 0, 0, 1, &flag, e) < 0) return -1;
  *eof = flag;
  return 0;
}

int input_accept(struct input_stream *s, const struct frame *f, struct error *e) {
  struct field data;
  bool eof;
  if (input_parse(f, &data, &eof, e) < 0) return -1;
  if (data.length + s->queue.length + s->unreturned > INPUT_CREDIT)
    return FAIL(e, ERR_INVALID, "input for request %u exceeds its credit", f->id);
  if (s->source.fd < 0) {
    s->unreturned += data.length;
  } else {
    if (buffer_append(&s->queue, data.bytes, data.length, e) < 0) return -1;
    s->eof = s->eof || eof;
    write_queue(s);
  }
  return_credit(s);
  return 0;
}
