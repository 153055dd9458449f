// Copies what a sandbox has written: a tree that its root may have made to hurt whoever walks it.
#pragma once
#include <stdint.h>

#include "../common/error.h"

struct tree_copied {
  int64_t entries, bytes;
};

// Copies everything below the directory `from` into the directory `to`, and the attributes of
// `from` itself. No link is followed and no other file system entered. Owners, modes, times, hard
// links, holes and the `user.` attributes are kept; what an overlay notes for itself is not.
int tree_clone(int from, int to, struct tree_copied *told, struct error *e);
