#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static void store_u32(uint8_t *at, uint32_t v) {
  at[0] = (uint8_t)(v >> 24);
  at[1] = (uint8_t)(v >> 16);
  at[2] = (uint8_t)(v >> 8);
  at[3] = (uint8_t)v;
}

static uint32_t load_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// A burst (an 1 MiB frame, a slow reader) must not stay allocated for the life of the process.
enum { BUFFER_KEPT = 524288 };

static void rewind_buffer(struct buffer *b) {
  if (b->consumed == 0) return;
  b->bytes -= b->consumed;
  b->capacity += b->consumed;
  b->consumed = 0;
}

void buffer_free(struct buffer *b) {
  rewind_buffer(b);
  free(b->bytes);
  *b = (struct buffer){0};
}

// Doubling (never by less) keeps the moves to the front amortised: each is paid by as many bytes
// consumed before it.
static int make_room(struct buffer *b, size_t n, struct error *e) {
  uint8_t *from = b->bytes;
  rewind_buffer(b);
  if (b->length) memmove(b->bytes, from, b->length);
  if (n <= b->capacity / 2 && b->length <= b->capacity / 2 - n) return 0;
  size_t wanted = b->capacity ? b->capacity : 1024;
  while (wanted - b->length < n || wanted / 2 < b->length) wanted *= 2;
  if (wanted == b->capacity) return 0;
  uint8_t *grown = realloc(b->bytes, wanted);
  if (!grown) return FAIL(e, ERR_EXHAUSTED, "out of memory for a buffer of %zu bytes", wanted);
  b->bytes = grown;
  b->capacity = wanted;
  return 0;
}

int buffer_append(struct buffer *b, const void *bytes, size_t n, struct error *e) {
  if (n > b->capacity - b->length && make_room(b, n, e) < 0) return -1;
  if (n) memcpy(b->bytes + b->length, bytes, n);
  b->length += n;
  return 0;
}

void buffer_consume(struct buffer *b, size_t n) {
  if (n < b->length) {
    b->bytes += n;
    b->length -= n;
    b->capacity -= n;
    b->consumed += n;
    return;
  }
  b->length = 0;
  rewind_buffer(b);
  if (b->capacity > BUFFER_KEPT) buffer_free(b);
}

static void put_raw(struct frame_writer *w, const void *bytes, size_t n) {
  struct error ignored;
  // The reason is told once, by frame_end.
  if (!w->failed && buffer_append(w->out, bytes, n, &ignored) < 0) w->failed = true;
}

struct frame_writer frame_begin(struct buffer *out, uint8_t type, uint32_t id) {
  struct frame_writer w = {.out = out, .start = out->length};
  uint8_t header[FRAME_HEADER] = {0};
  header[4] = type;
  store_u32(header + 5, id);
  put_raw(&w, header, sizeof header);
  return w;
}

void put_bytes(struct frame_writer *w, uint8_t key, const void *bytes, size_t n) {
  if (n > FRAME_MAX) {
    w->failed = true;
    return;
  }
  uint8_t header[5] = {key};
  store_u32(header + 1, (uint32_t)n);
  put_raw(w, header, sizeof header);
  put_raw(w, bytes, n);
}

void put_text(struct frame_writer *w, uint8_t key, const char *text) {
  put_bytes(w, key, text, strlen(text));
}

void put_int(struct frame_writer *w, uint8_t key, int64_t value) {
  uint8_t bytes[8];
  store_u32(bytes, (uint32_t)((uint64_t)value >> 32));
  store_u32(bytes + 4, (uint32_t)(uint64_t)value);
  put_bytes(w, key, bytes, sizeof bytes);
}

void put_nested(struct frame_writer *w, uint8_t key, const struct frame_writer *inner) {
  const struct buffer *fields = inner->out;
  if (inner->failed) w->failed = true;
  else put_bytes(w, key, fields->bytes + FRAME_HEADER, fields->length - FRAME_HEADER);
}

int frame_end(struct frame_writer *w, struct error *e) {
  size_t length = w->out->length - w->start;
  if (w->failed || length - 4 > FRAME_MAX) {
    w->out->length = w->start;
    return FAIL(e, ERR_EXHAUSTED, "a frame larger than %d bytes cannot be sent", FRAME_MAX);
  }
  store_u32(w->out->bytes + w->start, (uint32_t)(length - 4));
  return 0;
}

static int check_fields(const struct frame *f, struct error *e) {
  size_t at = 0;
  while (at < f->payload_length) {
    if (f->payload_length - at < 5 || load_u32(f->payload + at + 1) > f->payload_length - at - 5)
      return FAIL(e, ERR_INVALID, "frame 0x%02x: a field runs over the end of the frame", f->type);
    at += 5 + load_u32(f->payload + at + 1);
  }
  return 0;
}

int frame_parse(const uint8_t *bytes, size_t n, struct frame *out, struct error *e) {
  if (n < 4) return 0;
  uint32_t length = load_u32(bytes);
  if (length < 5 || length > FRAME_MAX)
    return FAIL(e, ERR_INVALID, "a frame of %u bytes is outside 5..%d", length, FRAME_MAX);
  if (n - 4 < length) return 0;
  *out = (struct frame){.type = bytes[4],
                        .id = load_u32(bytes + 5),
                        .payload = bytes + FRAME_HEADER,
                        .payload_length = length - 5,
                        .total = (size_t)length + 4};
  return check_fields(out, e) < 0 ? -1 : 1;
}

bool frame_next(const struct frame *f, size_t *cursor, struct field *out) {
  if (*cursor >= f->payload_length) return false;
  const uint8_t *at = f->payload + *cursor;
  *out = (struct field){.key = at[0], .bytes = at + 5, .length = load_u32(at + 1)};
  *cursor += 5 + out->length;
  return true;
}

bool frame_find(const struct frame *f, uint8_t key, struct field *out) {
  size_t cursor = 0;
  while (frame_next(f, &cursor, out))
    if (out->key == key) return true;
  return false;
}

int frame_int(const struct frame *f, uint8_t key, int64_t fallback, int64_t min, int64_t max,
              int64_t *out, struct error *e) {
  struct field field;
  *out = fallback;
  if (!frame_find(f, key, &field)) return 0;
  if (field.length != 8) return FAIL(e, ERR_INVALID, "field %u is not an integer", key);
  uint64_t bits = (uint64_t)load_u32(field.bytes) << 32 | load_u32(field.bytes + 4);
  *out = (int64_t)bits;
  if (*out < min || *out > max)
    return FAIL(e, ERR_INVALID, "field %u: %lld is outside %lld..%lld", key, (long long)*out,
                (long long)min, (long long)max);
  return 0;
}

static char *copy_text(const struct field *field, struct error *e) {
  if (memchr(field->bytes, 0, field->length)) {
    FAIL(e, ERR_INVALID, "field %u: a text holds a NUL byte", field->key);
    return NULL;
  }
  char *copy = malloc(field->length + 1);
  if (!copy) {
    FAIL(e, ERR_EXHAUSTED, "out of memory for a text of %zu bytes", field->length);
    return NULL;
  }
  memcpy(copy, field->bytes, field->length);
  copy[field->length] = 0;
  return copy;
}

int frame_text(const struct frame *f, uint8_t key, char **out, struct error *e) {
  struct field field;
  *out = NULL;
  if (!frame_find(f, key, &field)) return 0;
  *out = copy_text(&field, e);
  return *out ? 0 : -1;
}

int frame_texts(const struct frame *f, uint8_t key, size_t max, char ***out, struct error *e) {
  struct field field;
  size_t cursor = 0, count = 0;
  while (frame_next(f, &cursor, &field)) count += field.key == key;
  *out = NULL;
  if (count > max) return FAIL(e, ERR_INVALID, "field %u repeats more than %zu times", key, max);
  cleanup_text_list char **list = calloc(count + 1, sizeof *list);
  if (!list) return FAIL(e, ERR_EXHAUSTED, "out of memory for %zu texts", count);
  cursor = count = 0;
  while (frame_next(f, &cursor, &field)) {
    if (field.key != key) continue;
    list[count] = copy_text(&field, e);
    if (!list[count++]) return -1;
  }
  *out = list;
  list = NULL;
  return 0;
}

void text_list_free(char ***list) {
  if (!*list) return;
  for (char **at = *list; *at; at++) free(*at);
  free(*list);
  *list = NULL;
}
