// Guests' memory by pages: the verbs hold, capture, fill and digest of forkd-vm.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

enum { PAGE_BYTES = 4096 };

// A range of pages, counted from the start of a guest's memory.
struct run {
  uint64_t first, count;
};

// Sorted, without overlaps.
struct runs {
  struct run *list;
  size_t length, capacity;
  uint64_t pages; // sum of the counts
};

int runs_add(struct runs *r, struct run run, struct error *e);
void runs_free(struct runs *r);
// Joins runs over the smallest gaps until there are at most `most` of them.
void runs_bridge(struct runs *r, size_t most);
int runs_write(const struct runs *r, const char *path, struct error *e);
// Refuses what is no index of a memory of `pages` pages.
int runs_read(struct runs *r, const char *path, uint64_t pages, struct error *e);

// Memory of a running QEMU, its guest's part.
struct guest_memory {
  pid_t pid;
  uint64_t address, bytes;
};

// Finds the guest's memory: whatever maps one of `files` at a file's offset equal to the guest's.
int guest_memory_find(struct guest_memory *g, char *const *files, struct error *e);
// Pages that the process has of its own: present and of no file, or swapped out.
int guest_memory_private(const struct guest_memory *g, struct runs *out, struct error *e);
// Reads whole pages.
int guest_memory_read(const struct guest_memory *g, struct run run, char *to, struct error *e);

// Makes a copy of a process that never runs: a child of it, traced by us. Its memory is that of the
// moment. Kill it with freeze_end.
pid_t freeze(pid_t pid, struct error *e);
void freeze_end(pid_t frozen);

// Writes pages to their own place in a sparse file; zero pages become holes. Adds to *written.
int pages_write(int fd, uint64_t first, const char *pages, size_t count, uint64_t *written,
                struct error *e);

bool page_is_zero(const char *page);

int verb_digest(char **argv, struct error *e);
int verb_capture(char **argv, struct error *e);
int verb_fill(char **argv, struct error *e);
int verb_hold(char **argv, struct error *e);
