// A pseudo terminal for a command: the agent's end is its input and its output at once.
#pragma once
#include <stdint.h>

#include "../common/error.h"

enum { TERMINAL_SIDE_MAX = 10000 };

// Opens both ends, of that size. The agent's does not block; the command's is not our terminal.
int terminal_open(int64_t rows, int64_t columns, int *ours, int *theirs, struct error *e);
// Tells the size; the programs in front get SIGWINCH. A terminal that is gone is no failure.
void terminal_resize(int ours, int64_t rows, int64_t columns);
