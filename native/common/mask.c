#define _GNU_SOURCE
#include "mask.h"

#include <stddef.h>
#include <sys/mount.h>

const struct mask mask_list[MASKS] = {
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

int mask_put(enum mask_kind kind, const char *path, const char *null, const char *nothing,
             struct error *e) {
  const unsigned long remount = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  const char *what = kind == MASK_FILE ? null : kind == MASK_DIRECTORY ? nothing : path;
  int done = mount(what, path, NULL, MS_BIND, NULL);
  if (done == 0 && kind == READ_ONLY) done = mount(NULL, path, NULL, remount, NULL);
  return done < 0 ? FAIL_ERRNO(e, "masking %s", path) : 0;
}
