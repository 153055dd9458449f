// ip(8) and nft(8), by their usual places: the environment of whoever runs this is not asked.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

const char *const ip_paths[] = {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", NULL};
const char *const nft_paths[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", NULL};

static const char *find_tool(const char *const *paths) {
  for (; *paths; paths++)
    if (access(*paths, X_OK) == 0) return *paths;
  return NULL;
}

static int missing(const char *const *paths, struct error *e) {
  return FAIL(e, ERR_UNSUPPORTED, "%s is missing: install iproute2 and nftables", paths[0]);
}

int tool_feed(const char *const *paths, const char *const *argv, const char *text,
                struct error *e) {
  int ends[2], status;
  const char *tool = find_tool(paths);
  if (!tool) return missing(paths, e);
  if (pipe2(ends, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "pipe");
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[0], 0);
    dup2(2, 1);
    execv(tool, (char *const *)argv);
    _exit(127);
  }
  close(ends[0]);
  // Less than a pipe holds: this cannot block.
  bool written = write(ends[1], text, strlen(text)) == (ssize_t)strlen(text);
  close(ends[1]);
  if (pid < 0 || waitpid(pid, &status, 0) < 0) return FAIL_ERRNO(e, "running %s", tool);
  if (!written || status != 0)
    return FAIL(e, ERR_IO, "%s ended with status 0x%x", tool, (unsigned)status);
  return 0;
}

int tool_feed_inside(const char *name, const char *const *paths, const char *const *argv,
                  const char *text, struct error *e) {
  const char *in_namespace[8] = {"ip", "netns", "exec", name};
  const char *tool = find_tool(paths);
  size_t n = 4;
  if (!tool) return missing(paths, e);
  in_namespace[n++] = tool;
  for (; *argv && n < 7; argv++) in_namespace[n++] = *argv;
  return tool_feed(ip_paths, in_namespace, text, e);
}
