#define _GNU_SOURCE
#include "devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int devices_make(int dev, uid_t owner, struct error *e) {
  static const struct {
    const char *name;
    unsigned major, minor;
  } nodes[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
               {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                         {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"},
                                         {"pts/ptmx", "ptmx"}};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    const char *name = nodes[i].name;
    if (mknodat(dev, name, S_IFCHR, makedev(nodes[i].major, nodes[i].minor)) < 0 ||
        fchmodat(dev, name, 0666, 0) < 0 || fchownat(dev, name, owner, owner, 0) < 0)
      return FAIL_ERRNO(e, "creating the device node %s", name);
  }
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (symlinkat(links[i][0], dev, links[i][1]) < 0)
      return FAIL_ERRNO(e, "creating dev/%s", links[i][1]);
  return 0;
}
