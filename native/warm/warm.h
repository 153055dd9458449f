// The program that stands where the sandbox's python3 was. It asks the warm runtime to run the
// command in a fork of itself, and executes the real interpreter when that would not be the same.
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../common/frame.h"

// Where the launcher puts the real interpreter, below the name it had, and links to it.
#define REAL_DIRECTORY "/.forkd/real/"
// Abstract: it belongs to the sandbox's network namespace, and there is no file to clean up.
#define SOCKET_NAME "forkd-warm"

// Messages between this program and the runtime: one frame each, SOCK_SEQPACKET.
enum warm_frame {
  WARM_RUN = 0x60,
  WARM_RUNNING = 0xE0, // pid; descriptor: its pidfd
  WARM_ENDED = 0xE1,   // exit_code or signal
  WARM_COLD = 0xE2,    // message: why only the real interpreter does it
};

enum warm_key {
  K_DESCRIPTOR = 96, // int, repeated: the number of a descriptor that rides on the frame
  K_IGNORED,         // int, repeated: signals that are ignored
  K_BLOCKED,         // int: mask of blocked signals, bit n - 1 is signal n
  K_LIMIT,           // int, repeated: soft and hard limit of each resource in turn; -1 = none
  K_UMASK,           // int
  K_EXECUTABLE,      // text: what sys.executable will say
  K_OPTIONS,         // text: of the letters B and u
  K_FIRST,           // int: index in argv of the program's own first argument
};

enum {
  MESSAGE_MAX = 160000, // of one WARM_RUN: well below the default buffer of a socket
  DESCRIPTORS_MAX = 200,
  ANSWER_MS = 20000,
};

// A command line as the interpreter's own parser takes it apart.
struct command {
  int argc;
  char **argv, **env;
  const char *kind; // "module", "file" or "code"
  const char *text; // name, path or source
  int first;        // index of the first argument behind it
  char options[3];
  char executable[4096];
};

// What the process was given by whoever executed it, and must be given back to the program.
struct caller {
  sigset_t blocked;
  uint64_t ignored; // bit n - 1 is signal n
  int numbers[DESCRIPTORS_MAX];
  size_t count;
};

// command.c: NULL, or why this is no command that can run warm.
const char *command_parse(struct command *c);
// executable.c: fills c->executable; NULL, or why the interpreter meant is another one.
const char *executable_find(struct command *c);
// caller.c
const char *caller_look(struct caller *caller);
// Blocks every signal; caller_restore undoes that for a cold run.
void caller_hold_signals(struct caller *caller);
void caller_restore(const struct caller *caller);
// The WARM_RUN frame; -1 when it is too large.
int caller_frame(const struct caller *caller, const struct command *c, struct buffer *out);

// runtime.c: -1 when nobody serves, or somebody else than this user.
int runtime_connect(void);
int runtime_send(int socket, const struct caller *caller, const struct buffer *frame);
// The pidfd of the program that runs, or -1 with the reason in `why`: nothing was started then.
int runtime_started(int socket, char *why, size_t size);

// forward.c: passes signals on until the program ends; then ends in the same way.
_Noreturn void forward(int socket, int pidfd, const struct caller *caller);
