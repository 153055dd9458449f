// The same masks as on the process engine. Here they keep the sandbox's root, which is the guest's
// root without capabilities, from what the kernel grants by the owner of a file alone: a program of
// its choice in core_pattern, for one, would be run by the guest's kernel with all of them.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../common/mask.h"
#include "guest.h"

int masks_apply(struct error *e) {
  const unsigned long bare = MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  char path[256];
  struct stat st;
  if (mount_at(GUEST_NOTHING, GUEST_NOTHING, NULL, MS_BIND, NULL, e) < 0) return -1;
  if (mount(NULL, GUEST_NOTHING, NULL, MS_REMOUNT | bare, NULL) < 0)
    return FAIL_ERRNO(e, "freezing " GUEST_NOTHING);
  for (size_t i = 0; i < MASKS; i++) {
    snprintf(path, sizeof path, GUEST_ROOT "/%s", mask_list[i].path);
    if (lstat(path, &st) < 0) continue; // this kernel has none
    if (mask_put(mask_list[i].kind, path, GUEST_ROOT "/dev/null", GUEST_NOTHING, e) < 0) return -1;
  }
  return 0;
}
