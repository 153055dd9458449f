// Kernel modules, virtio-serial ports and the cgroup.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "guest.h"

int modules_load(const struct guest_spec *spec, struct error *e) {
  for (char **name = spec->modules; *name; name++) {
    char path[512];
    snprintf(path, sizeof path, GUEST_MODULES "/%s", *name);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL_ERRNO(e, "opening module %s", *name);
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
      return FAIL_ERRNO(e, "loading module %s", *name);
  }
  return 0;
}

static bool is_named(const char *port, const char *name) {
  char path[512], text[64] = "";
  snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", port);
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (n <= 0) return false;
  text[strcspn(text, "\n")] = 0;
  return strcmp(text, name) == 0;
}

static int find_port(const char *name) {
  DIR *ports = opendir("/sys/class/virtio-ports");
  int found = -1;
  for (struct dirent *d; ports && found < 0 && (d = readdir(ports));) {
    char path[300];
    if (d->d_name[0] == '.' || !is_named(d->d_name, name)) continue;
    snprintf(path, sizeof path, "/dev/%s", d->d_name);
    found = open(path, O_RDWR | O_CLOEXEC);
  }
  if (ports) closedir(ports);
  return found;
}

int port_open(const char *name, int *out, struct error *e) {
  enum { TRIES = 1000, WAIT_US = 10000 };
  // Ports are announced by messages of the host, some time after their driver is loaded.
  for (int i = 0; i < TRIES && (*out = find_port(name)) < 0; i++) usleep(WAIT_US);
  return *out < 0 ? FAIL_ERRNO(e, "opening the port %s", name) : 0;
}

int cgroup_make(int *out, struct error *e) {
  if (mount_at("cgroups", GUEST_CGROUPS, "cgroup2", 0, NULL, e) < 0) return -1;
  if (write_text(GUEST_CGROUPS "/cgroup.subtree_control", "+memory +pids +cpu", e) < 0) return -1;
  if (make_directory(GUEST_CGROUPS "/sandbox", e) < 0) return -1;
  *out = open(GUEST_CGROUPS "/sandbox", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *out < 0 ? FAIL_ERRNO(e, "opening the sandbox's cgroup") : 0;
}
