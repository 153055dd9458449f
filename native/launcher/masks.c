#define _GNU_SOURCE
#include "masks.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum mask_kind { MASK_FILE, MASK_DIRECTORY, READ_ONLY };

static const struct {
  enum mask_kind kind;
  const char *path;
} masks[] = {
    {READ_ONLY, "proc/sys"},         {READ_ONLY, "proc/irq"},
    {READ_ONLY, "proc/bus"},         {READ_ONLY, "proc/fs"},
    {READ_ONLY, "proc/sysrq-trigger"}, {MASK_FILE, "proc/kcore"},
    {MASK_FILE, "proc/keys"},        {MASK_FILE, "proc/key-users"},
    {MASK_FILE, "proc/timer_list"},  {MASK_FILE, "proc/kallsyms"},
    {MASK_FILE, "proc/config.gz"},   {MASK_FILE, "proc/kmsg"},
    {MASK_FILE, "proc/interrupts"},  {MASK_FILE, "proc/sched_debug"},
    {MASK_FILE, "proc/latency_stats"}, {MASK_FILE, "proc/kpagecount"},
    {MASK_FILE, "proc/kpageflags"},  {MASK_FILE, "proc/kpagecgroup"},
    {MASK_FILE, "proc/slabinfo"},    {MASK_FILE, "proc/modules"},
    {MASK_FILE, "proc/vmallocinfo"}, {MASK_DIRECTORY, "proc/acpi"},
    {MASK_DIRECTORY, "proc/scsi"},   {MASK_DIRECTORY, "proc/asound"},
    {MASK_DIRECTORY, "sys/firmware"}, {MASK_DIRECTORY, "sys/kernel/security"},
    {MASK_DIRECTORY, "sys/kernel/debug"}, {MASK_DIRECTORY, "sys/kernel/tracing"},
    {MASK_DIRECTORY, "sys/devices/virtual/powercap"},
};

#define MASKS (sizeof masks / sizeof *masks)
_Static_assert(MASKS <= MASKS_MAX, "family.maskable is too short");

// A mask over what only the host's root may open would protect nothing: no id of a sandbox is that
// root. Each one costs every sandbox a mount.
void masks_find(struct family *f) {
  struct stat st;
  for (size_t i = 0; i < MASKS; i++) {
    bool there = lstat(masks[i].path, &st) == 0;
    f->maskable[i] = there && (masks[i].kind == READ_ONLY || (st.st_mode & S_IROTH));
  }
}

static int mask(enum mask_kind kind, const char *path, struct error *e) {
  const unsigned long remount = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  int done;
  if (kind == MASK_FILE) {
    done = mount("dev/null", path, NULL, MS_BIND, NULL);
  } else if (kind == MASK_DIRECTORY) {
    done = mount("e", path, NULL, MS_BIND, NULL); // the empty directory, read-only
  } else {
    done = mount(path, path, NULL, MS_BIND, NULL);
    if (done == 0) done = mount(NULL, path, NULL, remount, NULL);
  }
  return done < 0 ? FAIL_ERRNO(e, "masking %s", path) : 0;
}

int masks_apply(const struct family *f, const char *root, struct error *e) {
  char path[128];
  for (size_t i = 0; i < MASKS; i++) {
    if (!f->maskable[i]) continue;
    snprintf(path, sizeof path, "%s/%s", root, masks[i].path);
    if (mask(masks[i].kind, path, e) < 0) return -1;
  }
  return 0;
}
