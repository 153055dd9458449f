// One command that runs inside the daemon while this process lends it its streams and signals.
#pragma once
#include "../common/channel.h"

enum {
  EXIT_NOT_RELAYED = 250, // nothing was printed or read: the caller may run the command otherwise
  EXIT_LOST = 70,         // the daemon went away in the middle
};

// Sends the command over a connected socket, which it takes, and lends until it ends.
// Returns the exit code.
int session_run(int socket, int argc, char **argv);
