// What a sandbox must not see or change below /proc and /sys although the kernel shows it there.
#pragma once
#include "error.h"

enum mask_kind { MASK_FILE, MASK_DIRECTORY, READ_ONLY };

struct mask {
  enum mask_kind kind;
  const char *path; // without the first slash
};

enum { MASKS = 29 };

extern const struct mask mask_list[MASKS];

// Mounts over what is at `path`: `null`, a null device, over a file; `nothing`, an empty directory
// in a read-only mount, over a directory; or the place itself, read-only.
int mask_put(enum mask_kind kind, const char *path, const char *null, const char *nothing,
             struct error *e);
