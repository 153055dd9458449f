#include "../common/frame.h"

#include "assert.h"

static struct error e;

static struct buffer sample(void) {
  struct buffer b = {0};
  struct frame_writer w = frame_begin(&b, F_EXEC, 7);
  put_text(&w, K_ARGV, "echo");
  put_text(&w, K_ARGV, "");
  put_int(&w, K_TIMEOUT_MS, -2);
  put_bytes(&w, K_DATA, "a\0b", 3);
  CHECK(frame_end(&w, &e) == 0);
  return b;
}

static void what_is_written_reads_back(void) {
  cleanup_buffer struct buffer b = sample();
  struct frame f;
  struct field field;
  int64_t number;
  CHECK(frame_parse(b.bytes, b.length, &f, &e) == 1);
  CHECK(f.type == F_EXEC && f.id == 7 && f.total == b.length);
  CHECK(frame_int(&f, K_TIMEOUT_MS, 0, -5, 5, &number, &e) == 0 && number == -2);
  CHECK(frame_find(&f, K_DATA, &field) && field.length == 3 && memcmp(field.bytes, "a\0b", 3) == 0);
  CHECK(!frame_find(&f, K_CWD, &field));
}

static void the_bytes_are_as_documented(void) {
  static const unsigned char expected[] = {0, 0, 0, 18, 0x02, 0, 0, 1, 2,
                                           13, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0};
  cleanup_buffer struct buffer b = {0};
  struct frame_writer w = frame_begin(&b, F_PING, 258);
  put_int(&w, K_BYTES, 256);
  CHECK(frame_end(&w, &e) == 0);
  CHECK(b.length == sizeof expected && memcmp(b.bytes, expected, sizeof expected) == 0);
}

static void every_shorter_prefix_needs_more(void) {
  cleanup_buffer struct buffer b = sample();
  struct frame f;
  for (size_t n = 0; n < b.length; n++) CHECK(frame_parse(b.bytes, n, &f, &e) == 0);
}

static void lengths_out_of_bounds_are_refused(void) {
  struct frame f;
  static const unsigned char lengths[][4] = {
      {0, 0, 0, 0}, {0, 0, 0, 4}, {0, 0x10, 0, 1}, {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    CHECK(frame_parse(lengths[i], 4, &f, &e) == -1);
    CHECK(e.kind == ERR_INVALID);
  }
}

static void fields_that_overrun_are_refused(void) {
  cleanup_buffer struct buffer b = sample();
  struct frame f;
  b.bytes[FRAME_HEADER + 1] = 0xff; // length of the first field
  CHECK(frame_parse(b.bytes, b.length, &f, &e) == -1);
  b.bytes[FRAME_HEADER + 1] = 0;
  b.bytes[FRAME_HEADER + 4] = 5; // one byte into the next field
  CHECK(frame_parse(b.bytes, b.length, &f, &e) == -1);
}

static void integers_are_checked(void) {
  cleanup_buffer struct buffer b = sample();
  struct frame f;
  int64_t number;
  CHECK(frame_parse(b.bytes, b.length, &f, &e) == 1);
  CHECK(frame_int(&f, K_TIMEOUT_MS, 0, 0, 5, &number, &e) == -1);
  CHECK(frame_int(&f, K_TIMEOUT_MS, 0, -9, -3, &number, &e) == -1);
  CHECK(frame_int(&f, K_ARGV, 0, 0, 5, &number, &e) == -1);
  CHECK(frame_int(&f, K_MODE, 42, 0, 5, &number, &e) == 0 && number == 42);
}

static void texts_are_copied_and_checked(void) {
  cleanup_buffer struct buffer b = sample();
  cleanup_text_list char **list = NULL;
  struct frame f;
  char *text;
  CHECK(frame_parse(b.bytes, b.length, &f, &e) == 1);
  CHECK(frame_texts(&f, K_ARGV, 2, &list, &e) == 0);
  CHECK(strcmp(list[0], "echo") == 0 && !*list[1] && !list[2]);
  text_list_free(&list);
  CHECK(frame_texts(&f, K_ARGV, 1, &list, &e) == -1 && !list);
  CHECK(frame_text(&f, K_DATA, &text, &e) == -1 && !text); // holds a NUL
  CHECK(frame_text(&f, K_CWD, &text, &e) == 0 && !text);
}

static void a_frame_that_is_too_large_leaves_nothing(void) {
  cleanup_buffer struct buffer b = sample();
  size_t before = b.length;
  char *large = calloc(1, FRAME_MAX);
  struct frame_writer w = frame_begin(&b, F_OUTPUT, 1);
  put_bytes(&w, K_DATA, large, FRAME_MAX);
  CHECK(frame_end(&w, &e) == -1 && e.kind == ERR_EXHAUSTED && b.length == before);
  w = frame_begin(&b, F_OUTPUT, 1);
  put_bytes(&w, K_DATA, large, FRAME_MAX - 10);
  CHECK(frame_end(&w, &e) == 0 && b.length == before + FRAME_MAX + 4);
  free(large);
}

// Against a plain copy: appended and consumed in steps that cross every way of making room.
static void a_buffer_is_a_queue(void) {
  cleanup_buffer struct buffer b = {0};
  uint8_t chunk[700];
  uint32_t in = 0, out = 0, dice = 1;
  for (int round = 0; round < 20000; round++) {
    dice = dice * 1103515245 + 12345;
    size_t n = (dice >> 16) % sizeof chunk;
    for (size_t i = 0; i < n; i++) chunk[i] = (uint8_t)(in++ * 7);
    CHECK(buffer_append(&b, chunk, n, &e) == 0);
    size_t take = round % 100 == 99 ? b.length : b.length * (dice >> 28) / 20;
    for (size_t i = 0; i < take; i++) CHECK(b.bytes[i] == (uint8_t)(out++ * 7));
    buffer_consume(&b, take);
    CHECK(b.length == in - out && b.capacity >= b.length);
  }
}

static void a_large_buffer_is_given_back(void) {
  cleanup_buffer struct buffer b = {0};
  char *large = calloc(1, FRAME_MAX);
  CHECK(buffer_append(&b, large, FRAME_MAX, &e) == 0);
  buffer_consume(&b, FRAME_MAX - 1);
  CHECK(b.length == 1);
  buffer_consume(&b, 1);
  CHECK(b.capacity == 0 && !b.bytes);
  free(large);
}

static void errors_say_what_and_why(void) {
  errno = ENOENT;
  CHECK(FAIL_ERRNO(&e, "opening %s", "x") == -1);
  CHECK(e.kind == ERR_NOT_FOUND && e.err == ENOENT);
  CHECK(strcmp(e.message, "opening x: No such file or directory") == 0);
  char *large = malloc(2000);
  memset(large, 'x', 1999);
  large[1999] = 0;
  error_set(&e, ERR_IO, EIO, "%s", large);
  CHECK(strlen(e.message) == sizeof e.message - 1);
  free(large);
}

const struct test frame_tests[] = {
    TEST(what_is_written_reads_back),       TEST(the_bytes_are_as_documented),
    TEST(every_shorter_prefix_needs_more),  TEST(lengths_out_of_bounds_are_refused),
    TEST(fields_that_overrun_are_refused),  TEST(integers_are_checked),
    TEST(texts_are_copied_and_checked),     TEST(a_frame_that_is_too_large_leaves_nothing),
    TEST(a_buffer_is_a_queue),              TEST(a_large_buffer_is_given_back),
    TEST(errors_say_what_and_why),          {NULL, NULL}};
