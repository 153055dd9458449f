// User namespaces: making one from outside, and mapping one that a child has made for itself.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

// The ids that a namespace maps: 0..count-1 there are first..first+count-1 here.
struct id_range {
  uid_t first;
  unsigned count;
};

// For a process without privilege: makes it root of a namespace whose only id is its user's, and of
// a network namespace that is empty. Its supplementary groups stay: user_namespaces(7) lets nobody
// give them up there.
int userns_enter(struct error *e);
// Whether the namespace of this process has a single id, as the one above.
bool userns_is_single(void);
// A new user namespace of those ids. Returns a descriptor of it.
int userns_create(struct id_range ids, struct error *e);
// Writes uid_map and gid_map of a process that has unshared its user namespace.
int userns_map(pid_t pid, struct id_range ids, struct error *e);
