#define _GNU_SOURCE
#include "../agent/loop.h"

#include <unistd.h>

#include "assert.h"

static struct error e;
static struct loop loop;
static char trace[64];

struct named {
  struct timer timer;
  struct source source;
  char name;
};

static void note(char name) { strncat(trace, &(char[]){name, 0}[0], 1); }

static void on_timer(struct timer *t) { note(CONTAINER(t, struct named, timer)->name); }

static void start(void) {
  trace[0] = 0;
  CHECK(loop_open(&loop, &e) == 0);
}

static void run_until(size_t length) {
  for (int i = 0; i < 50 && strlen(trace) < length; i++) CHECK(loop_step(&loop, 100, &e) == 0);
}

static void timers_fire_in_the_order_they_are_due(void) {
  struct named a = {{.fire = on_timer}, {.fd = -1}, 'a'}, b = a, c = a, d = a;
  b.name = 'b', c.name = 'c', d.name = 'd';
  start();
  loop_arm(&loop, &b.timer, 20);
  loop_arm(&loop, &a.timer, 1);
  loop_arm(&loop, &c.timer, 5000);
  loop_arm(&loop, &d.timer, 10);
  loop_arm(&loop, &c.timer, 30); // moved
  loop_disarm(&d.timer);
  run_until(3);
  CHECK(strcmp(trace, "abc") == 0);
  CHECK(loop_step(&loop, 0, &e) == 0 && strlen(trace) == 3);
  loop_close(&loop);
}

static struct named first, second;

static void shut_the_other(struct source *s, uint32_t events) {
  struct named *self = CONTAINER(s, struct named, source);
  (void)events;
  note(self->name);
  loop_shut(&loop, self == &first ? &second.source : &first.source);
  CHECK(loop_watch(&loop, s, 0, &e) == 0);
}

// Both are ready in the same batch: the one that is shut by the other must not be called any more.
static void a_source_that_was_shut_gets_no_event(void) {
  int one[2], two[2];
  CHECK(pipe(one) == 0 && pipe(two) == 0);
  CHECK(write(one[1], "x", 1) == 1 && write(two[1], "x", 1) == 1);
  start();
  first = (struct named){.source = {.fd = one[0], .ready = shut_the_other}, .name = '1'};
  second = (struct named){.source = {.fd = two[0], .ready = shut_the_other}, .name = '2'};
  CHECK(loop_watch(&loop, &first.source, EPOLLIN, &e) == 0);
  CHECK(loop_watch(&loop, &second.source, EPOLLIN, &e) == 0);
  CHECK(loop_step(&loop, 100, &e) == 0 && loop_step(&loop, 0, &e) == 0);
  CHECK(strlen(trace) == 1);
  loop_shut(&loop, &first.source);
  loop_shut(&loop, &second.source);
  close(one[1]);
  close(two[1]);
  loop_close(&loop);
}

static void a_source_without_wishes_hears_no_hang_up(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  start();
  first = (struct named){.source = {.fd = ends[0], .ready = shut_the_other}, .name = '1'};
  CHECK(loop_watch(&loop, &first.source, EPOLLIN, &e) == 0);
  CHECK(loop_watch(&loop, &first.source, 0, &e) == 0);
  close(ends[1]);
  CHECK(loop_step(&loop, 5, &e) == 0 && trace[0] == 0);
  loop_shut(&loop, &first.source);
  loop_close(&loop);
}

const struct test loop_tests[] = {TEST(timers_fire_in_the_order_they_are_due),
                                  TEST(a_source_that_was_shut_gets_no_event),
                                  TEST(a_source_without_wishes_hears_no_hang_up),
                                  {NULL, NULL}};
