#define _GNU_SOURCE
#include "devices.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

enum { NODES = 6 };

static const struct {
  const char *name;
  unsigned major, minor;
} nodes[NODES] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                  {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

static int make_links(int dev, struct error *e) {
  static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                         {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"},
                                         {"pts/ptmx", "ptmx"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (symlinkat(links[i][0], dev, links[i][1]) < 0)
      return FAIL_ERRNO(e, "creating dev/%s", links[i][1]);
  return 0;
}

int devices_make(int dev, uid_t owner, struct error *e) {
  for (size_t i = 0; i < NODES; i++) {
    const char *name = nodes[i].name;
    if (mknodat(dev, name, S_IFCHR, makedev(nodes[i].major, nodes[i].minor)) < 0 ||
        fchmodat(dev, name, 0666, 0) < 0 || fchownat(dev, name, owner, owner, 0) < 0)
      return FAIL_ERRNO(e, "creating the device node %s", name);
  }
  return make_links(dev, e);
}

int devices_bind(int dev, struct error *e) {
  char from[16], to[16];
  for (size_t i = 0; i < NODES; i++) {
    snprintf(from, sizeof from, "/dev/%s", nodes[i].name);
    snprintf(to, sizeof to, "dev/%s", nodes[i].name);
    cleanup_fd int place = openat(dev, nodes[i].name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0);
    if (place < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
      return FAIL_ERRNO(e, "binding the device node %s", from);
  }
  return make_links(dev, e);
}
