// A pair of devices between a sandbox that is processes and its network. The sandbox's own
// namespace is not the network: rules and routes are in one that its root has no power over.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

#define AGENT "forkd-agent\n"

static int is_agent(const char *pid, struct error *e) {
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%s/comm", pid);
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
  if (n <= 0 || strcmp(name, AGENT) != 0)
    return FAIL(e, ERR_NOT_FOUND, "process %s is no sandbox's agent (any more)", pid);
  return 0;
}

// The pid may be another process's by the time that it is opened: never into the host's own.
static int open_namespace(const char *pid, struct error *e) {
  char path[64];
  struct stat own, other;
  if (strspn(pid, "0123456789") != strlen(pid) || !*pid || strlen(pid) > 10)
    return FAIL(e, ERR_INVALID, "not a pid: %.32s", pid);
  if (is_agent(pid, e) < 0) return -1;
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &other) < 0 || stat("/proc/self/ns/net", &own) < 0)
    return FAIL_ERRNO(e, "opening %s", path);
  if (own.st_ino == other.st_ino)
    return FAIL(e, ERR_NOT_FOUND, "process %s has no network of its own", pid);
  return steal_fd(&fd);
}

// Runs ip(8) in the sandbox's namespace: there is no other name for it than this descriptor.
static int inside_sandbox(int sandbox, const char *text, struct error *e) {
  const char *const batch[] = {"ip", "-batch", "-", NULL};
  cleanup_fd int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (host < 0 || setns(sandbox, CLONE_NEWNET) < 0)
    return FAIL_ERRNO(e, "entering the sandbox's network");
  int done = tool_feed(ip_paths, batch, text, e);
  return setns(host, CLONE_NEWNET) < 0 ? FAIL_ERRNO(e, "leaving the sandbox's network") : done;
}

int plug(const char *name, const char *pid, struct error *e) {
  const char *const batch[] = {"-batch", "-", NULL};
  char text[512];
  if (!net_is_name(name)) return FAIL(e, ERR_INVALID, "no network of forkd: %s", name);
  cleanup_fd int sandbox = open_namespace(pid, e);
  if (sandbox < 0) return -1;
  snprintf(text, sizeof text,
           "link add eth0 address 02:66:6b:64:00:02 type veth peer name veth0"
           " address 02:66:6b:64:00:01 netns %s\n"
           "addr add 10.42.0.2/24 dev eth0\nlink set eth0 up\n"
           "route add default via 10.42.0.1\n",
           name);
  if (inside_sandbox(sandbox, text, e) < 0) return -1;
  return tool_feed_inside(name, ip_paths, batch,
                          "addr add 10.42.0.1/24 dev veth0\nlink set veth0 up\n", e);
}

int unplug(const char *pid, struct error *e) {
  cleanup_fd int sandbox = open_namespace(pid, e);
  return sandbox < 0 ? -1 : inside_sandbox(sandbox, "link del eth0\n", e);
}
