// Runs a forkd command inside the daemon, which has a warm JVM, instead of starting one for it.
// Exits with 250, having printed and read nothing, when the command has to run in a JVM of its own;
// or becomes the script again that FORKD_LAUNCHER names. So whoever started `forkd` has one process
// to signal, whichever way the command runs.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "request.h"
#include "session.h"

// The same rule as the Java side's: cli/Directories.java.
static int socket_path(char *out, size_t size) {
  const char *run = getenv("FORKD_RUN_DIR"), *state = getenv("FORKD_STATE_DIR");
  const char *user = getenv("XDG_RUNTIME_DIR");
  int n = -1;
  if (run && *run) n = snprintf(out, size, "%s/cli.sock", run);
  else if (state && *state) n = snprintf(out, size, "%s/run/cli.sock", state);
  else if (geteuid() == 0) n = snprintf(out, size, "/run/forkd/cli.sock");
  else if (user && *user) n = snprintf(out, size, "%s/forkd/cli.sock", user);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

static int connect_to_daemon(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (socket_path(address.sun_path, sizeof address.sun_path) < 0) return -1;
  cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
  return steal_fd(&fd);
}

static int relay(int argc, char **argv) {
  if (!request_relayable(argc, argv)) return EXIT_NOT_RELAYED;
  int fd = connect_to_daemon();
  return fd < 0 ? EXIT_NOT_RELAYED : session_run(fd, argc, argv);
}

int main(int argc, char **argv) {
  const char *name = getenv("FORKD_LAUNCHER");
  cleanup_free char *launcher = name ? strdup(name) : NULL;
  unsetenv("FORKD_LAUNCHER");
  int code = relay(argc, argv);
  if (code != EXIT_NOT_RELAYED || !launcher) return code;
  argv[0] = launcher;
  signal(SIGPIPE, SIG_DFL); // as it was before we tried
  if (setenv("FORKD_NO_RELAY", "1", 1) == 0) execv(launcher, argv);
  perror("forkd-cli: exec");
  return 70;
}
