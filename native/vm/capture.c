// forkd-vm capture: the pages that a guest has changed, as of one moment.
//
//   forkd-vm capture PID BYTES COPY_MAX MEMORY INDEX FILE...
//
// stdout: "ready"; then, after a line on stdin while the guest stands still, "held MODE" as soon as
// it may go on, and at last "done BYTES PAGES RUNS". FILEs are what the guest's memory maps.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "pages.h"

// Each is a mapping of its own in every child, and a process has 65530 of them.
enum { RUNS_MAX = 1024, CHUNK_PAGES = 256 };

struct capture {
  struct guest_memory guest;
  struct runs runs;
  char *buffer;         // for what is copied while the guest stands still
  uint64_t buffer_pages;
  pid_t frozen;         // or 0
  int memory;
  uint64_t written;
};

static int copy_now(struct capture *c, struct error *e) {
  char *to = c->buffer;
  for (size_t i = 0; i < c->runs.length; i++) {
    if (guest_memory_read(&c->guest, c->runs.list[i], to, e) < 0) return -1;
    to += c->runs.list[i].count * PAGE_BYTES;
  }
  return 0;
}

// Few pages are copied at once. Of many, the process is copied, which is a copy of page tables.
static int hold_still(struct capture *c, struct error *e) {
  if (guest_memory_private(&c->guest, &c->runs, e) < 0) return -1;
  runs_bridge(&c->runs, RUNS_MAX);
  if (c->runs.pages <= c->buffer_pages) return copy_now(c, e);
  c->frozen = freeze(c->guest.pid, e);
  return c->frozen < 0 ? -1 : 0;
}

static int write_buffer(struct capture *c, struct error *e) {
  const char *from = c->buffer;
  for (size_t i = 0; i < c->runs.length; i++) {
    struct run run = c->runs.list[i];
    if (pages_write(c->memory, run.first, from, run.count, &c->written, e) < 0) return -1;
    from += run.count * PAGE_BYTES;
  }
  return 0;
}

// Our parent is gone when it has closed our stdin.
static bool orphaned(void) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&in, 1, 0) > 0 && (in.revents & POLLHUP);
}

static int write_frozen(struct capture *c, struct error *e) {
  struct guest_memory copy = c->guest;
  copy.pid = c->frozen;
  for (size_t i = 0; i < c->runs.length; i++) {
    struct run run = c->runs.list[i];
    for (uint64_t done = 0; done < run.count; done += CHUNK_PAGES) {
      uint64_t left = run.count - done;
      struct run part = {run.first + done, left < CHUNK_PAGES ? left : CHUNK_PAGES};
      if (orphaned()) return FAIL(e, ERR_INTERNAL, "nobody waits for the snapshot any more");
      if (guest_memory_read(&copy, part, c->buffer, e) < 0) return -1;
      if (pages_write(c->memory, part.first, c->buffer, part.count, &c->written, e) < 0) return -1;
    }
  }
  return 0;
}

static int prepare(struct capture *c, char **argv, struct error *e) {
  uint64_t most = strtoull(argv[2], NULL, 10) / PAGE_BYTES;
  c->guest.pid = (pid_t)strtol(argv[0], NULL, 10);
  c->guest.bytes = strtoull(argv[1], NULL, 10);
  c->buffer_pages = most;
  if (guest_memory_find(&c->guest, argv + 5, e) < 0) return -1;
  c->memory = open(argv[3], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (c->memory < 0 || ftruncate(c->memory, (off_t)c->guest.bytes) < 0)
    return FAIL_ERRNO(e, "making %s", argv[3]);
  size_t length = (most > CHUNK_PAGES ? most : CHUNK_PAGES) * PAGE_BYTES;
  c->buffer = mmap(NULL, length, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return c->buffer == MAP_FAILED ? FAIL_ERRNO(e, "memory for %zu bytes", length) : 0;
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

static int run_capture(struct capture *c, const char *index, struct error *e) {
  char line[16];
  say("ready");
  if (!fgets(line, sizeof line, stdin)) return 0;
  if (hold_still(c, e) < 0) return -1;
  say(c->frozen ? "held frozen" : "held copied");
  if ((c->frozen ? write_frozen(c, e) : write_buffer(c, e)) < 0) return -1;
  if (fdatasync(c->memory) < 0) return FAIL_ERRNO(e, "saving a snapshot's memory");
  if (runs_write(&c->runs, index, e) < 0) return -1;
  printf("done %llu %llu %zu\n", (unsigned long long)c->written,
         (unsigned long long)c->runs.pages, c->runs.length);
  fflush(stdout);
  return 0;
}

int verb_capture(char **argv, struct error *e) {
  struct capture c = {.memory = -1};
  for (int i = 0; i < 6; i++)
    if (!argv[i]) return FAIL(e, ERR_INVALID, "capture needs PID BYTES COPY_MAX MEMORY INDEX FILE");
  int state = prepare(&c, argv, e) < 0 ? -1 : run_capture(&c, argv[4], e);
  if (c.frozen > 0) freeze_end(c.frozen);
  runs_free(&c.runs);
  return state;
}
