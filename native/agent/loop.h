// One thread, one epoll: descriptors that become ready and timers that fall due.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>

#include "../common/error.h"
#include "list.h"

enum { LOOP_BATCH = 32 };

struct source {
  int fd; // -1: closed
  uint32_t events;
  void (*ready)(struct source *, uint32_t events);
};

struct timer {
  struct node link; // of loop.timers, soonest first
  int64_t due_us;
  void (*fire)(struct timer *);
};

struct loop {
  int epoll_fd;
  struct node timers;
  struct epoll_event batch[LOOP_BATCH];
  int batch_length;
};

// Microseconds of CLOCK_MONOTONIC.
int64_t clock_us(void);

int loop_open(struct loop *l, struct error *e);
void loop_close(struct loop *l);
// Says which events of a source are wanted. 0 takes it out of epoll altogether: a registered
// descriptor would still report a hang-up, again and again.
int loop_watch(struct loop *l, struct source *s, uint32_t events, struct error *e);
// Takes the source out (also out of the batch that is being handled) and closes its descriptor.
void loop_shut(struct loop *l, struct source *s);
// Makes the timer fire once, `delay_ms` from now; an armed timer is moved.
void loop_arm(struct loop *l, struct timer *t, int64_t delay_ms);
void loop_disarm(struct timer *t);
// Waits until something happens (at most `max_wait_ms`, -1 = no bound) and handles it.
int loop_step(struct loop *l, int max_wait_ms, struct error *e);
