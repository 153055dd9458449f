#define _GNU_SOURCE
#include "loop.h"

#include <time.h>
#include <unistd.h>

int64_t clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int loop_open(struct loop *l, struct error *e) {
  *l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
  list_init(&l->timers);
  return l->epoll_fd < 0 ? FAIL_ERRNO(e, "epoll_create1") : 0;
}

void loop_close(struct loop *l) {
  if (l->epoll_fd >= 0) close(l->epoll_fd);
  l->epoll_fd = -1;
}

// An event that was fetched before its source changed must not reach the handler: the descriptor
// number, or the memory of the source, may stand for something else by then.
static void forget_batch(struct loop *l, const struct source *s) {
  for (int i = 0; i < l->batch_length; i++)
    if (l->batch[i].data.ptr == s) l->batch[i].data.ptr = NULL;
}

int loop_watch(struct loop *l, struct source *s, uint32_t events, struct error *e) {
  if (s->events == events) return 0;
  int op = events == 0 ? EPOLL_CTL_DEL : s->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  struct epoll_event wanted = {.events = events, .data.ptr = s};
  if (epoll_ctl(l->epoll_fd, op, s->fd, &wanted) < 0)
    return FAIL_ERRNO(e, "epoll_ctl of descriptor %d", s->fd);
  s->events = events;
  if (events == 0) forget_batch(l, s);
  return 0;
}

void loop_shut(struct loop *l, struct source *s) {
  if (s->fd < 0) return;
  // Closing alone is not enough: a child between fork and exec holds a copy, and epoll reports a
  // file for as long as any copy is open.
  if (s->events) epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
  forget_batch(l, s);
  close(s->fd);
  s->fd = -1;
  s->events = 0;
}

void loop_arm(struct loop *l, struct timer *t, int64_t delay_ms) {
  loop_disarm(t);
  t->due_us = clock_us() + delay_ms * 1000;
  struct node *at = &l->timers;
  while (at->previous != &l->timers &&
         CONTAINER(at->previous, struct timer, link)->due_us > t->due_us)
    at = at->previous;
  list_insert_before(at, &t->link);
}

void loop_disarm(struct timer *t) { list_remove(&t->link); }

static int wait_ms(const struct loop *l, int max_wait_ms) {
  if (list_empty(&l->timers)) return max_wait_ms;
  int64_t left = CONTAINER(l->timers.next, struct timer, link)->due_us - clock_us();
  int64_t ms = left <= 0 ? 0 : (left + 999) / 1000;
  if (max_wait_ms >= 0 && ms > max_wait_ms) return max_wait_ms;
  return ms > 1000000 ? 1000000 : (int)ms;
}

static void fire_due(struct loop *l) {
  int64_t now = clock_us();
  while (!list_empty(&l->timers)) {
    struct timer *first = CONTAINER(l->timers.next, struct timer, link);
    if (first->due_us > now) return;
    loop_disarm(first);
    first->fire(first);
  }
}

int loop_step(struct loop *l, int max_wait_ms, struct error *e) {
  int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, wait_ms(l, max_wait_ms));
  if (n < 0 && errno != EINTR) return FAIL_ERRNO(e, "epoll_wait");
  l->batch_length = n < 0 ? 0 : n;
  for (int i = 0; i < l->batch_length; i++) {
    struct source *s = l->batch[i].data.ptr;
    if (s) s->ready(s, l->batch[i].events);
  }
  l->batch_length = 0;
  fire_due(l);
  return 0;
}
