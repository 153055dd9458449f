// Frame parser: every input is parsed as a stream of frames; what parses must read back the same.
#include <stdlib.h>
#include <string.h>

#include "../common/frame.h"
#include "target.h"

static void require(bool condition) {
  if (!condition) abort();
}

static void read_fields(const struct frame *f) {
  struct error e;
  struct field field;
  size_t cursor = 0;
  while (frame_next(f, &cursor, &field)) {
    int64_t number;
    char *text = NULL, **texts = NULL;
    require(field.bytes >= f->payload);
    require(field.bytes + field.length <= f->payload + f->payload_length);
    if (frame_int(f, field.key, 0, -5, 1000, &number, &e) == 0) require(number <= 1000);
    if (frame_text(f, field.key, &text, &e) == 0) require(text != NULL);
    if (frame_texts(f, field.key, 16, &texts, &e) == 0) require(texts[0] != NULL);
    free(text);
    text_list_free(&texts);
  }
  require(cursor == f->payload_length);
}

static void write_again(const struct frame *f, const uint8_t *original) {
  struct error e;
  struct field field;
  size_t cursor = 0;
  struct buffer copy = {0};
  struct frame_writer w = frame_begin(&copy, f->type, f->id);
  while (frame_next(f, &cursor, &field)) put_bytes(&w, field.key, field.bytes, field.length);
  require(frame_end(&w, &e) == 0 && copy.length == f->total);
  require(memcmp(copy.bytes, original, f->total) == 0);
  buffer_free(&copy);
}

// The stream goes through a buffer in pieces, as it does when it comes from a socket.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error e;
  struct frame f;
  struct buffer stream = {0};
  int state = 0;
  for (size_t at = 0; at < size && state >= 0;) {
    size_t piece = 1 + data[at] % 61;
    if (piece > size - at) piece = size - at;
    require(buffer_append(&stream, data + at, piece, &e) == 0);
    at += piece;
    while ((state = frame_parse(stream.bytes, stream.length, &f, &e)) > 0) {
      read_fields(&f);
      write_again(&f, stream.bytes);
      buffer_consume(&stream, f.total);
    }
  }
  buffer_free(&stream);
  return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}
