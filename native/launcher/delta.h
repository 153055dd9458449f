// What had been written when something was frozen, by a template's warm-up or by a sandbox that was
// branched: a tmpfs of the launcher's own mount namespace, of which every family that needs it gets
// a mount. It lives as long as the last of them.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"

enum {
  BRANCHES_MAX = 32, // branches of branches
  DELTAS_MAX = BRANCHES_MAX + 1, // and the warm-up of the template at the root
};

struct delta {
  size_t users;
  unsigned number;
  char *path; // absolute; below it u (of the writable layer), tmp and shm (whole)
};

struct delta *delta_create(const char *run_dir, unsigned number, struct error *e);
struct delta *delta_share(struct delta *d);
void delta_release(struct delta *d);
// Takes away the parts that are empty: a layer less for every sandbox. False: all were.
bool delta_trim(const struct delta *d);
// Whether there is a part u, to be used as a layer.
bool delta_has_layer(const struct delta *d);
// Directories that a killed launcher left (their mounts went with it).
void deltas_sweep(int run_dir);
