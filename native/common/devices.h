// The device nodes of a sandbox, the same for a process of this host and in a virtual machine.
#pragma once
#include <sys/types.h>

#include "error.h"

// Fills the directory `dev`, which is empty, for a sandbox whose root is `owner`.
int devices_make(int dev, uid_t owner, struct error *e);
// The same where nobody may make a node: each is a mount of the host's own in /dev. `dev` is the
// working directory's "dev".
int devices_bind(int dev, struct error *e);
