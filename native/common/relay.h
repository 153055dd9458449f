// Bytes passed on from one descriptor to another, both non-blocking.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { RELAY_BUFFER = 16384 };

// One direction: what was read and is not written yet. Zero-initialise.
struct relay {
  char bytes[RELAY_BUFFER];
  size_t from, to;
  bool ended, passed_on; // the end itself
};

// Moves what can be moved now. False: the connection is broken. While it is being made, both calls
// would block. The end of `in` is passed on where `out` is a socket.
bool relay_move(struct relay *r, int in, int out);
// What to wait for at a descriptor that `reads` is filled from and `writes` is emptied to.
short relay_events(const struct relay *reads, const struct relay *writes);
