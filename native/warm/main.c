// Everything that is not known to be the same in a fork of the warm interpreter goes to the real
// one: the rules are in docs/warm-exec.md. Nothing has been started as long as this may return.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "warm.h"

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value && *value && strcmp(value, "0") != 0;
}

// Does not return when the program ran warm; else the reason why it did not.
static const char *try_warm(struct command *c, char *why, size_t size) {
  struct caller caller;
  const char *reason;
  cleanup_buffer struct buffer frame = {0};
  if (is_set("FORKD_COLD")) return "FORKD_COLD is set";
  if ((reason = command_parse(c)) || (reason = caller_look(&caller)) ||
      (reason = executable_find(c)))
    return reason;
  caller_hold_signals(&caller);
  cleanup_fd int socket = runtime_connect();
  if (socket < 0) reason = "no warm interpreter of this user serves here";
  else if (caller_frame(&caller, c, &frame) < 0) reason = "arguments and environment are too large";
  else if (runtime_send(socket, &caller, &frame) < 0) reason = "the request could not be sent";
  int pidfd = reason ? -1 : runtime_started(socket, why, size);
  if (pidfd >= 0) forward(socket, pidfd, &caller);
  caller_restore(&caller);
  return reason ? reason : why;
}

static void run_real(char **argv, char **env) {
  char path[4096];
  const char *slash = strrchr(argv[0], '/');
  // By its own name first: that is what the kernel calls the process.
  snprintf(path, sizeof path, REAL_DIRECTORY "%s", slash ? slash + 1 : argv[0]);
  execve(path, argv, env);
  execve(REAL_DIRECTORY "python", argv, env);
}

int main(int argc, char **argv, char **env) {
  char why[1024];
  if (argc < 1) return 127;
  struct command c = {.argc = argc, .argv = argv, .env = env};
  const char *reason = try_warm(&c, why, sizeof why);
  if (is_set("FORKD_WARM_DEBUG")) dprintf(2, "forkd: %s runs cold: %s\n", argv[0], reason);
  run_real(argv, env);
  dprintf(2, "forkd: cannot execute the real interpreter in " REAL_DIRECTORY ": %m\n");
  return 127;
}
