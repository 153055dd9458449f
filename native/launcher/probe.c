#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "launcher.h"
#include "sys.h"
#include "userns.h"

enum { PROBE_UID_BASE = 1000000 };

// Mounted where only this process's mount namespace has it.
static bool probe_tmpfs_xattr(const struct launcher *l) {
  if (mount("tmpfs", l->run_dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") < 0) return false;
  bool works = setxattr(l->run_dir, "user.overlay.opaque", "y", 1, 0) == 0;
  umount2(l->run_dir, MNT_DETACH);
  return works;
}

static bool probe_idmap(const struct launcher *l, int userns) {
  cleanup_fd int tree = sys_open_tree(AT_FDCWD, l->run_dir, OPEN_TREE_CLONE_FLAG | O_CLOEXEC);
  struct mount_attributes a = {.set = ATTR_IDMAP, .userns_fd = (uint64_t)userns};
  return tree >= 0 && userns >= 0 && sys_mount_setattr(tree, "", AT_EMPTY_PATH, &a) == 0;
}

static const char *truth(bool value) { return value ? "true" : "false"; }

static void escape(const char *text, char *out, size_t size) {
  size_t n = 0;
  for (; *text && n + 3 < size; text++) {
    if (*text == '"' || *text == '\\') out[n++] = '\\';
    out[n++] = (unsigned char)*text < 0x20 ? ' ' : *text;
  }
  out[n] = 0;
}

void probe_report(const struct launcher *l, char *json, size_t size) {
  struct utsname names;
  struct error e;
  char controllers[80] = "", warning[600];
  uname(&names);
  for (int c = 0; c < C_COUNT; c++) {
    size_t used = strlen(controllers);
    if (l->cgroups.base[c] >= 0)
      snprintf(controllers + used, sizeof controllers - used, "%s\"%s\"", used ? "," : "",
               controller_names[c]);
  }
  bool rootless = userns_is_single();
  const struct id_range ids = {rootless ? 0 : PROBE_UID_BASE, rootless ? 1 : ID_RANGE};
  cleanup_fd int userns = userns_create(ids, &e);
  escape(l->cgroups.warning, warning, sizeof warning);
  snprintf(json, size,
           "{\"kernel\":\"%s\",\"cgroup\":\"%s\",\"controllers\":[%s],\"tmpfs_xattr\":%s,"
           "\"idmapped_mounts\":%s,\"seccomp\":true,\"userns\":%s,\"rootless\":%s,"
           "\"pid\":%d,\"warning\":\"%s\"}",
           names.release, cgroups_version(&l->cgroups), controllers, truth(probe_tmpfs_xattr(l)),
           truth(probe_idmap(l, userns)), truth(userns >= 0), truth(rootless), getpid(), warning);
}
