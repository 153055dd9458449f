// User namespaces: making one from outside, and mapping one that a child has made for itself.
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

// A new user namespace whose ids 0..65535 are base..base+65535 here. Returns a descriptor of it.
int userns_create(uid_t base, struct error *e);
// Writes uid_map and gid_map of a process that has unshared its user namespace.
int userns_map(pid_t pid, uid_t base, struct error *e);
