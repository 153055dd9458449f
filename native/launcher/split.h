// A base layer in parts. An ordinary user's launcher cannot have the machine's own root as one
// lower directory of an overlay: what the host has mounted below it is locked to it, and overlayfs
// takes no directory with locked mounts below. Its directories can be taken one by one, so each
// gets an overlay of its own over the root's, with the same layers above and the same writable
// layer: what is written looks as if there were one.
#pragma once
#include "family.h"

// Whether the directory can be a lower one in a user namespace.
bool split_is_needed(const char *path);
// Makes r, the root of the base: its links, and a directory for each of its own. Fills parts, but
// for what a part's overlay consists of.
int split_base(struct family *f, const char *base, struct error *e);
// Once all layers are there: says what each part consists of, and drops those that are hidden.
void split_stack(struct family *f);
// Mounts the parts over m/r. `warm`: what warm-up has written, NULL when nothing.
int split_mount(const struct family *f, const char *warm, struct error *e);
