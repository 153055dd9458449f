// The address space of a process, as /proc/PID/maps tells it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

enum region_kind {
  REGION_MEMORY, // private, without a file
  REGION_FILE,
  REGION_STACK,
  REGION_KERNEL, // vdso and the like: the same in every fork
};

struct region {
  uint64_t start, end;
  int protection; // PROT_*
  bool shared, heap;
  enum region_kind kind;
  uint64_t device, inode, offset;
};

struct regions {
  struct region *list;
  size_t count;
};

int regions_read(pid_t pid, struct regions *out, struct error *e);
void regions_free(struct regions *r);
#define cleanup_regions __attribute__((cleanup(regions_free)))
