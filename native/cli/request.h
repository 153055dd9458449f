// The frame that asks the daemon to run a command.
#pragma once
#include <stdbool.h>

#include "../common/frame.h"

// Appends the request: arguments, the part of the environment that commands look at, directory,
// and which of the descriptors 0, 1, 2 are terminals. Fails when it does not fit into a frame.
int request_put(struct buffer *out, int argc, char **argv, struct error *e);

// Whether the command may run inside the daemon: not those that start, end or examine it, nor one
// that names another daemon.
bool request_relayable(int argc, char **argv);
