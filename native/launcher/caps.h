// Capability sets as bit masks: bit n is CAP number n of linux/capability.h.
#pragma once
#include <stdint.h>

#include "../common/error.h"

// Of the agent: what it takes to run commands as other users and to write files for the host.
extern const uint64_t CAPS_AGENT;
// Of the zygote, in its own user namespace: what entering a sandbox takes.
extern const uint64_t CAPS_ZYGOTE;

// Permitted and effective become exactly `keep`; inheritable and ambient become empty; the
// bounding set becomes `bounding`.
int caps_limit(uint64_t keep, uint64_t bounding, struct error *e);
