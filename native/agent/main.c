// The agent as a program of its own: PID 1 of a virtual machine, or of a test.
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/error.h"
#include "agent.h"

static const char usage[] =
    "usage: forkd-agent --listen PATH | --stream FD [--runtime-fd FD]\n"
    "  --listen PATH    make a unix socket at PATH (mode 0600) and accept up to 8 connections\n"
    "  --stream FD      serve the one stream that is open as descriptor FD\n"
    "  --runtime-fd FD  socket of the warm runtime\n";

static int parse_fd(const char *text) {
  char *end;
  long fd = strtol(text, &end, 10);
  return *text && !*end && fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

static int listen_at(const char *path, int *out, struct error *e) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return FAIL(e, ERR_INVALID, "a socket path has at most %zu bytes: %s",
                sizeof address.sun_path - 1, path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  mode_t before = umask(0177);
  int state = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
              listen(fd, 16) < 0 ? FAIL_ERRNO(e, "listening at %s", path) : 0;
  umask(before);
  if (state < 0 && fd >= 0) close(fd);
  *out = fd;
  return state;
}

static int parse(char **argv, struct agent_options *options, struct error *e) {
  for (; *argv; argv += 2) {
    int *fd = strcmp(*argv, "--stream") == 0       ? &options->stream_fd
              : strcmp(*argv, "--runtime-fd") == 0 ? &options->runtime_fd
                                                   : NULL;
    if (!argv[1]) return FAIL(e, ERR_INVALID, "%s needs a value", *argv);
    if (strcmp(*argv, "--listen") == 0) {
      if (listen_at(argv[1], &options->listen_fd, e) < 0) return -1;
    } else if (!fd || (*fd = parse_fd(argv[1])) < 0) {
      return FAIL(e, ERR_INVALID, "cannot use %s %s", *argv, argv[1]);
    }
  }
  if (options->listen_fd < 0 && options->stream_fd < 0)
    return FAIL(e, ERR_INVALID, "neither --listen nor --stream is given");
  return 0;
}

int main(int argc, char **argv) {
  struct agent_options options = {.listen_fd = -1, .stream_fd = -1, .runtime_fd = -1};
  struct error e;
  if (parse(argv + (argc > 0), &options, &e) < 0) {
    fprintf(stderr, "forkd-agent: %s\n%s", e.message, usage);
    return 2;
  }
  return agent_run(&options);
}
