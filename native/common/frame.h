// Frames and fields as docs/agent-protocol.md defines them. No I/O here: bytes in, bytes out.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum {
  FRAME_MAX = 1048576,             // of what follows the length word
  FRAME_HEADER = 9,                // length, type, id
  FRAME_DATA_MAX = 65536,          // of one `data` field
  FRAME_DEFAULT_WINDOW = 262144,   // output credit of a stream when the request names none
  PROTOCOL_VERSION = 1,
};

enum frame_type {
  F_HELLO = 0x01, F_PING = 0x02, F_PING_RUNTIME = 0x03, F_EXEC = 0x04, F_CALL = 0x05,
  F_EVAL = 0x06, F_READ_FILE = 0x07, F_WRITE_FILE = 0x08, F_IDENTITY = 0x09,
  F_STAT = 0x0A, F_LIST = 0x0B, F_MAKE_DIRECTORY = 0x0C, F_REMOVE = 0x0D, F_LINK = 0x0E,
  F_BRANCH = 0x0F,
  F_INPUT = 0x10, F_WINDOW = 0x11, F_SIGNAL = 0x12, F_CANCEL = 0x13, F_RESIZE = 0x14,
  F_READY = 0x40, F_RT_PING = 0x41, F_RT_PONG = 0x42, F_SPAWN = 0x43, F_SPAWNED = 0x44,
  F_ENDED = 0x45, F_SESSION = 0x46, F_SESSION_OPEN = 0x47, F_RT_EVAL = 0x48, F_EVALUATED = 0x49,
  F_RESEED = 0x4A, F_RESEEDED = 0x4B, F_RT_BRANCH = 0x4C, F_BRANCHED = 0x4D,
  F_CALM = 0x4E, F_RT_ERROR = 0x4F,
  F_WELCOME = 0x81, F_PONG = 0x82, F_STARTED = 0x83, F_OUTPUT = 0x84, F_EXITED = 0x85,
  F_RESULT = 0x86, F_DONE = 0x87, F_WINDOW_STDIN = 0x88,
  F_TERMINAL = 0x89, F_RUNTIME_ENDED = 0x90, F_ERROR = 0xFF,
};

enum field_key {
  K_VERSION = 1, K_ARGV, K_ENV, K_CWD, K_USER, K_STDIN, K_TIMEOUT_MS, K_GRACE_MS, K_WINDOW,
  K_STREAM, K_DATA, K_EOF, K_BYTES, K_PID, K_EXIT_CODE, K_SIGNAL, K_TIMED_OUT, K_DURATION_US,
  K_PATH, K_MODE, K_OFFSET, K_MAKE_PARENTS, K_CODE, K_TARGET, K_KIND, K_RESULT, K_STDOUT,
  K_STDERR, K_ERROR, K_TRACEBACK, K_TRUNCATED, K_MESSAGE, K_ERRNO, K_RUNTIME, K_REPORT, K_NAME,
  K_RESTARTED, K_FDS, K_MAX_OUTPUT, K_TIME_NS, K_ROWS, K_COLUMNS, K_PORT,
};

// A growing byte buffer with one owner; zero-initialise, free with buffer_free.
struct buffer {
  uint8_t *bytes;  // the first byte that is not consumed yet
  size_t length;
  size_t capacity; // counted from `bytes`
  size_t consumed; // allocated bytes in front of `bytes`
};

void buffer_free(struct buffer *b);
#define cleanup_buffer __attribute__((cleanup(buffer_free)))
// Appends; returns -1 with ERR_EXHAUSTED when memory is out.
int buffer_append(struct buffer *b, const void *bytes, size_t n, struct error *e);
// Removes n bytes from the front without moving the rest: a chunk of many small frames costs no
// more than one large one. Memory beyond a few windows is given back when the buffer is empty.
void buffer_consume(struct buffer *b, size_t n);

// Writing: frame_begin, put_*, frame_end. The frame is appended to `b`, so many can queue up.
struct frame_writer {
  struct buffer *out;
  size_t start;
  bool failed; // out of memory, or larger than FRAME_MAX: told by frame_end
};

struct frame_writer frame_begin(struct buffer *out, uint8_t type, uint32_t id);
void put_bytes(struct frame_writer *w, uint8_t key, const void *bytes, size_t n);
void put_text(struct frame_writer *w, uint8_t key, const char *text);
void put_int(struct frame_writer *w, uint8_t key, int64_t value);
// The fields of another frame, which is not ended and alone in its buffer, as one value.
void put_nested(struct frame_writer *w, uint8_t key, const struct frame_writer *inner);
// Completes the frame. On failure nothing of it remains in the buffer.
int frame_end(struct frame_writer *w, struct error *e);

// Reading. A frame points into the buffer it was parsed from: valid until that buffer changes.
struct frame {
  uint8_t type;
  uint32_t id;
  const uint8_t *payload;
  size_t payload_length;
  size_t total; // bytes to consume
};

// 1: a whole frame was parsed; 0: more bytes are needed; -1: the peer broke the protocol (bad
// length, or a field that runs over the end). All fields of a parsed frame are well-formed.
int frame_parse(const uint8_t *bytes, size_t n, struct frame *out, struct error *e);

struct field {
  uint8_t key;
  const uint8_t *bytes;
  size_t length;
};

// Iterates: start with *cursor = 0; false at the end.
bool frame_next(const struct frame *f, size_t *cursor, struct field *out);
// First field with that key.
bool frame_find(const struct frame *f, uint8_t key, struct field *out);
// The integer of a key, or `fallback` when it is absent; -1 when it is not 8 bytes long or is
// outside [min, max].
int frame_int(const struct frame *f, uint8_t key, int64_t fallback, int64_t min, int64_t max,
              int64_t *out, struct error *e);
// A fresh NUL-terminated copy (free it), or *out = NULL when absent; -1 when it holds a NUL.
int frame_text(const struct frame *f, uint8_t key, char **out, struct error *e);
// All repeats of a key as a NULL-terminated array (free with text_list_free); -1 as above, or when
// there are more than `max`.
int frame_texts(const struct frame *f, uint8_t key, size_t max, char ***out, struct error *e);
void text_list_free(char ***list);
#define cleanup_text_list __attribute__((cleanup(text_list_free)))
