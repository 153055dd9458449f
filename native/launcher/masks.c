#define _GNU_SOURCE
#include "masks.h"

#include <stdio.h>
#include <sys/stat.h>

#include "../common/mask.h"

_Static_assert((int)MASKS <= (int)MASKS_MAX, "family.maskable is too short");

// A mask over what only the host's root may open would protect nothing: no id of a sandbox is that
// root. Each one costs every sandbox a mount.
void masks_find(struct family *f) {
  struct stat st;
  for (size_t i = 0; i < MASKS; i++) {
    bool there = lstat(mask_list[i].path, &st) == 0;
    f->maskable[i] = there && (mask_list[i].kind == READ_ONLY || (st.st_mode & S_IROTH));
  }
}

int masks_apply(const struct family *f, const char *root, struct error *e) {
  char path[128];
  for (size_t i = 0; i < MASKS; i++) {
    if (!f->maskable[i]) continue;
    snprintf(path, sizeof path, "%s/%s", root, mask_list[i].path);
    if (mask_put(mask_list[i].kind, path, "dev/null", "e", e) < 0) return -1; // e: see holder.c
  }
  return 0;
}
