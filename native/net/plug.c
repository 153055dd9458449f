// A pair of devices between a sandbox that is processes and its network. The sandbox's own
// namespace is not the network: rules and routes are in one that its root has no power over.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

int plug(const char *name, const char *pid, struct error *e) {
  char text[512];
  cleanup_fd int network = net_open(name, e);
  cleanup_fd int sandbox = network < 0 ? -1 : open_namespace(pid, e);
  if (sandbox < 0) return -1;
  snprintf(text, sizeof text,
           "link add eth0 address 02:66:6b:64:00:02 type veth peer name veth0"
           " address 02:66:6b:64:00:01 netns %s\n"
           "link set eth0 addrgenmode none\n"
           "addr add 10.42.0.2/24 dev eth0\nlink set eth0 up\n"
           "route add default via 10.42.0.1\n",
           name);
  if (ip_batch(sandbox, text, e) < 0) return -1;
  return ip_batch(network, "addr add 10.42.0.1/24 dev veth0\nlink set veth0 up\n", e);
}

int unplug(const char *pid, struct error *e) {
  cleanup_fd int sandbox = open_namespace(pid, e);
  return sandbox < 0 ? -1 : ip_batch(sandbox, "link del eth0\n", e);
}
