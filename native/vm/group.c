// What one QEMU may use of this machine. The guest sets the limits inside, where they are met
// first; these hold even when a guest has broken out of its kernel. Groups are made as the
// launcher's, below a base of their own.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../launcher/cgroup.h"
#include "vm.h"

static void open_all(struct cgroups *all, const char *instance) {
  char name[40];
  snprintf(name, sizeof name, "%.36s-vm", instance);
  cgroups_attach(all, name);
}

// "NAME:BYTES:MILLIS:WEIGHT", 0 = no limit.
static int parse(const char *text, char *name, size_t size, struct limits *limits,
                 struct error *e) {
  long long bytes, millis, weight;
  const char *colon = strchr(text, ':');
  size_t length = colon ? (size_t)(colon - text) : 0;
  if (length == 0 || length >= size ||
      sscanf(colon, ":%lld:%lld:%lld", &bytes, &millis, &weight) != 3 || bytes < 0 || millis < 0 ||
      weight < 0 || weight > IO_WEIGHT_MAX)
    return FAIL(e, ERR_INVALID, "not NAME:BYTES:MILLIS:WEIGHT: %s", text);
  snprintf(name, size, "%.*s", (int)length, text);
  *limits = (struct limits){.memory_bytes = bytes, .cpu_millis = millis, .io_weight = weight};
  return check_name("a group", name, e);
}

int group_enter(const char *instance, const char *text, struct error *e) {
  struct cgroups all;
  struct cgroup group;
  struct limits limits;
  char name[NAME_MAX_LENGTH + 1];
  int entries[C_COUNT];
  size_t count;
  if (parse(text, name, sizeof name, &limits, e) < 0) return -1;
  open_all(&all, instance);
  if (cgroup_create(&all, &group, name, &limits, e) < 0) return -1;
  if (cgroup_open_entries(&all, &group, entries, &count, e) < 0) goto failed;
  for (size_t i = 0; i < count; i++) {
    if (write(entries[i], "0", 1) != 1) {
      FAIL_ERRNO(e, "entering the group %s", name);
      goto failed;
    }
    close(entries[i]);
  }
  return 0; // the directories are closed by execve
failed:
  cgroup_remove(&all, &group);
  return -1;
}

int groups_prepare(const char *instance, struct error *e) {
  struct cgroups all;
  open_all(&all, instance);
  cgroups_sweep(&all);
  for (enum controller c = 0; c < C_COUNT; c++) {
    char link[64], path[4096];
    if (all.base[c] < 0) continue;
    snprintf(link, sizeof link, "/proc/self/fd/%d", all.base[c]);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return FAIL_ERRNO(e, "the groups of %s", controller_names[c]);
    printf("%s %.*s\n", controller_names[c], (int)n, path);
  }
  return 0;
}
