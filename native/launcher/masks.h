// What a sandbox must not see or change below /proc and /sys although the kernel shows it there.
#pragma once
#include "family.h"

// Finds out which of them this kernel has; the working directory holds proc and sys.
void masks_find(struct family *f);
// Puts them over the proc and sys of the root at `root` ("m/r"); devices come from `dev`.
int masks_apply(const struct family *f, const char *root, struct error *e);
