// What both engines do to put forkd-python in an interpreter's place; each finds out where it is.
#pragma once
#include <sys/types.h>

#include "error.h"

// Copies a file to a new path, executable, with the source's times and the owner (also as group).
int front_copy(int from, int dir, const char *path, uid_t owner, struct error *e);
// Puts the interpreter into `real`, the directory /.forkd/real, by its own and the usual names.
int front_keep(int interpreter, int real, const char *name, uid_t owner, struct error *e);
