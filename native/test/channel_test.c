#define _GNU_SOURCE
#include "../common/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "assert.h"

static struct error e;

static void open_pair(struct channel *a, struct channel *b) {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  CHECK(channel_open(a, fds[0], fds[0], &e) == 0 && channel_open(b, fds[1], fds[1], &e) == 0);
}

static void put_ping(struct channel *c, uint32_t id, size_t extra) {
  static char zeros[FRAME_DATA_MAX];
  struct frame_writer w = frame_begin(&c->output, F_PING, id);
  put_bytes(&w, K_DATA, zeros, extra);
  CHECK(frame_end(&w, &e) == 0);
}

static void frames_arrive_in_order_through_a_full_socket(void) {
  struct channel a, b;
  struct frame f;
  uint32_t next = 1;
  open_pair(&a, &b);
  for (uint32_t id = 1; id <= 100; id++) put_ping(&a, id, 60000);
  CHECK(channel_flush(&a, &e) == 0 && channel_wants_write(&a) && !channel_full(&a));
  while (next <= 100) {
    CHECK(channel_read(&b, &e) >= 0);
    for (; channel_frame(&b, &f, &e) == 1; channel_done(&b, &f)) CHECK(f.id == next++);
    CHECK(channel_flush(&a, &e) >= 0);
  }
  CHECK(!channel_wants_write(&a) && channel_read(&b, &e) == 0);
  channel_close(&a);
  CHECK(channel_read(&b, &e) == -1);
  channel_close(&b);
}

static void output_has_a_bound_to_look_at(void) {
  struct channel a, b;
  open_pair(&a, &b);
  for (uint32_t id = 1; !channel_full(&a); id++) put_ping(&a, id, 60000);
  CHECK(a.output.length > CHANNEL_OUT_MAX);
  channel_close(&a);
  channel_close(&b);
}

static struct buffer frame_with_fds(int64_t n) {
  struct buffer out = {0};
  struct frame_writer w = frame_begin(&out, F_SPAWN, 1);
  put_int(&w, K_FDS, n);
  CHECK(frame_end(&w, &e) == 0);
  return out;
}

static void descriptors_ride_on_frames(void) {
  struct channel a, b;
  struct frame f;
  int ends[2];
  char byte = 0;
  open_pair(&a, &b);
  CHECK(pipe(ends) == 0);
  cleanup_buffer struct buffer frame = frame_with_fds(2);
  put_ping(&a, 9, 10);
  CHECK(channel_send_with_fds(&a, &frame, ends, 2, 1000, &e) == 0);
  close(ends[0]);
  close(ends[1]);
  CHECK(channel_read(&b, &e) == 1);
  while (channel_frame(&b, &f, &e) == 1 || channel_read(&b, &e) == 1) {
    bool carrier = f.type == F_SPAWN;
    channel_done(&b, &f);
    if (carrier) break;
  }
  int in = channel_take_fd(&b), out = channel_take_fd(&b);
  CHECK(channel_take_fd(&b) == -1);
  CHECK(fcntl(in, F_GETFD) == FD_CLOEXEC && fcntl(out, F_GETFD) == FD_CLOEXEC);
  CHECK(write(out, "x", 1) == 1 && read(in, &byte, 1) == 1 && byte == 'x');
  close(in);
  close(out);
  channel_close(&a);
  channel_close(&b);
}

static void too_many_descriptors_are_closed_not_kept(void) {
  struct channel a, b;
  int fds[20];
  open_pair(&a, &b);
  int spare = dup(a.in);
  close(spare);
  for (int i = 0; i < 20; i++) fds[i] = a.in;
  cleanup_buffer struct buffer frame = frame_with_fds(20);
  for (int i = 0; i < 4; i++) CHECK(channel_send_with_fds(&a, &frame, fds, 20, 1000, &e) == 0);
  while (channel_read(&b, &e) == 1) continue;
  CHECK(b.fd_count == CHANNEL_FDS_MAX);
  channel_close(&b);
  int again = dup(a.in);
  CHECK(again <= spare); // nothing is left open
  close(again);
  channel_close(&a);
}

static void sending_descriptors_never_waits_unless_asked(void) {
  struct channel a, b;
  open_pair(&a, &b);
  for (uint32_t id = 1; id <= 50; id++) put_ping(&a, id, 60000);
  cleanup_buffer struct buffer frame = frame_with_fds(1);
  CHECK(channel_try_send_with_fds(&a, &frame, &a.in, 1, &e) == 0);
  CHECK(channel_send_with_fds(&a, &frame, &a.in, 1, 20, &e) == -1 && e.kind == ERR_TIMEOUT);
  channel_close(&b);
  CHECK(channel_try_send_with_fds(&a, &frame, &a.in, 1, &e) == -1);
  channel_close(&a);
}

static void two_pipes_make_a_channel_too(void) {
  int fds[2];
  struct channel c;
  struct frame f;
  CHECK(pipe(fds) == 0);
  CHECK(channel_open(&c, fds[0], fds[1], &e) == 0 && !c.is_socket);
  put_ping(&c, 3, 5);
  CHECK(channel_flush(&c, &e) == 1 && channel_read(&c, &e) == 1);
  CHECK(channel_frame(&c, &f, &e) == 1 && f.id == 3);
  channel_close(&c);
  CHECK(fcntl(fds[0], F_GETFD) == -1 && fcntl(fds[1], F_GETFD) == -1);
}

const struct test channel_tests[] = {TEST(frames_arrive_in_order_through_a_full_socket),
                                     TEST(output_has_a_bound_to_look_at),
                                     TEST(descriptors_ride_on_frames),
                                     TEST(too_many_descriptors_are_closed_not_kept),
                                     TEST(sending_descriptors_never_waits_unless_asked),
                                     TEST(two_pipes_make_a_channel_too),
                                     {NULL, NULL}};
