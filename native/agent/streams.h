// The agent's ends of a command's pipes, moved under credit.
#pragma once
#include "../common/frame.h"
#include "loop.h"

enum { INPUT_CREDIT = 262144 };
#define CREDIT_MAX (INT64_C(1) << 40)

struct process;

struct output_stream {
  struct source source; // read end; -1 after its end
  struct process *owner;
  int number;    // 1 stdout, 2 stderr
  int64_t credit;
  int64_t rest;  // how much is still read, once the process has ended; -1: to the end
};

struct input_stream {
  struct source source;  // write end
  struct process *owner; // NULL: stdin is /dev/null
  struct buffer queue;   // taken from the host, not yet from the pipe
  size_t unreturned;     // consumed, credit not yet given back
  bool eof;
  bool terminal; // its end is a character, and what ends it for good is the command's end
};

// Says whether the stream is read now: it has credit and the connection has room.
void output_update(struct output_stream *s);
void output_add_credit(struct output_stream *s, int64_t bytes);
// The process has ended and had its time: what the pipe holds now is still read (unless
// `discard`), what a grandchild adds is not.
void output_cut(struct output_stream *s, bool discard);
void output_close(struct output_stream *s);

// One INPUT frame. -1: the host sent more than its credit, or more than a frame may hold.
int input_accept(struct input_stream *s, const struct frame *f, struct error *e);
void input_close(struct input_stream *s);
void input_ready(struct source *source, uint32_t events);
void output_ready(struct source *source, uint32_t events);
// Checks data of an INPUT frame against what one frame may carry, and reads its eof flag.
int input_parse(const struct frame *f, struct field *data, bool *eof, struct error *e);
