#define _GNU_SOURCE
#include "caps.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

const uint64_t CAPS_AGENT = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) |
                            BIT(CAP_KILL) | BIT(CAP_SETUID) | BIT(CAP_SETGID);

// SETPCAP: to drop the bounding set of a child; SYS_PTRACE: a pidfd's namespaces may be entered
// only by who might trace the process; SYS_CHROOT: joining a mount namespace changes the root.
const uint64_t CAPS_ZYGOTE = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) |
                             BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |
                             BIT(CAP_SETPCAP) | BIT(CAP_SYS_CHROOT) | BIT(CAP_SYS_PTRACE) |
                             BIT(CAP_SYS_ADMIN);

static int drop_bounding(uint64_t bounding, struct error *e) {
  for (unsigned i = 0; i < 64; i++) {
    if (bounding & BIT(i)) continue;
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break; // past the kernel's last capability
    return FAIL_ERRNO(e, "dropping capability %u", i);
  }
  return 0;
}

int caps_limit(uint64_t keep, uint64_t bounding, struct error *e) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
      {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)}};
  if (drop_bounding(bounding, e) < 0) return -1;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return FAIL_ERRNO(e, "clearing ambient capabilities");
  return syscall(SYS_capset, &header, data) < 0 ? FAIL_ERRNO(e, "capset") : 0;
}
