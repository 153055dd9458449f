// What a sandbox had written when it was branched: a tmpfs of the launcher's own mount namespace,
// of which every family that needs it gets a mount. It lives as long as the last of them.
#pragma once
#include <stddef.h>

#include "../common/error.h"

enum { DELTAS_MAX = 32 }; // branches of branches

struct delta {
  size_t users;
  unsigned number;
  char *path; // absolute; below it u (of the writable layer), tmp and shm (whole)
};

struct delta *delta_create(const char *run_dir, unsigned number, struct error *e);
struct delta *delta_share(struct delta *d);
void delta_release(struct delta *d);
// Directories that a killed launcher left (their mounts went with it).
void deltas_sweep(int run_dir);
