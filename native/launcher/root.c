#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "masks.h"
#include "setup.h"
#include "split.h"

enum { INODES_MIN = 65536, LOCKED_MEMORY_MAX = 65536 };

static int mount_tmpfs(const char *path, const char *mode, int64_t bytes, unsigned long flags,
                       struct error *e) {
  char options[96] = "mode=";
  strcat(options, mode);
  // Inodes cost kernel memory that `size` does not count.
  int64_t inodes = bytes / 4096 > INODES_MIN ? bytes / 4096 : INODES_MIN;
  if (bytes)
    snprintf(options, sizeof options, "mode=%s,size=%lld,nr_inodes=%lld", mode, (long long)bytes,
             (long long)inodes);
  if (mount("tmpfs", path, "tmpfs", flags, options) < 0)
    return FAIL_ERRNO(e, "mounting a tmpfs on /%s", path);
  return 0;
}

// Written below the overlay before it is mounted: a copy-up each would cost more.
static int write_identity(const struct root_plan *plan, struct error *e) {
  char text[256];
  if (mkdir("m/u/etc", 0755) < 0) return FAIL_ERRNO(e, "mkdir etc");
  cleanup_fd int etc = open("m/u/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (etc < 0) return FAIL_ERRNO(e, "opening etc");
  snprintf(text, sizeof text, "%s\n", plan->machine_id);
  if (create_file(etc, "machine-id", text, 0444, e) < 0) return -1;
  snprintf(text, sizeof text, "%s\n", plan->hostname);
  if (create_file(etc, "hostname", text, 0644, e) < 0) return -1;
  snprintf(text, sizeof text,
           "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n",
           plan->hostname);
  return create_file(etc, "hosts", text, 0644, e);
}

// Whether warm-up has left something there: empty parts are gone before the first sandbox is made.
static bool is_warm(const struct root_plan *plan, const char *part) {
  return !plan->is_template && access(part, F_OK) == 0;
}

static const char *seed_of(const struct root_plan *plan, const char *warm, bool branched,
                           const char *branch) {
  return is_warm(plan, warm) ? warm : branched ? branch : NULL;
}

static int mount_overlay(const struct family *f, const struct root_plan *plan, struct error *e) {
  char options[sizeof f->lower + 96];
  if (mount_tmpfs("m", "755", plan->files.disk_bytes, MS_NOSUID | MS_NODEV, e) < 0) return -1;
  if (mkdir("m/u", 0755) < 0 || mkdir("m/w", 0755) < 0 || mkdir("m/r", 0755) < 0)
    return FAIL_ERRNO(e, "mkdir of the writable layer");
  if (write_identity(plan, e) < 0) return -1;
  // Relative, so that /proc/mounts of the sandbox tells nothing about the host.
  snprintf(options, sizeof options, "lowerdir=%s%s,upperdir=m/u,workdir=m/w,userxattr",
           is_warm(plan, "w/u") ? "w/u:" : "", f->lower);
  if (mount("overlay", "m/r", "overlay", MS_NOSUID | MS_NODEV, options) < 0)
    return FAIL_ERRNO(e, "mounting the root (overlay)");
  return split_mount(f, is_warm(plan, "w/u") ? "w/u" : NULL, e);
}

// A tmpfs of its own; with what had been there in the template or the branched sandbox.
static int mount_scratch(const char *path, int64_t bytes, const char *seed, const char *aside,
                         struct error *e) {
  const unsigned long flags = MS_NOSUID | MS_NODEV;
  char upper[16], work[16], options[96];
  if (!seed) return mount_tmpfs(path, "1777", bytes, flags, e);
  if (mount_tmpfs(aside, "755", bytes, flags, e) < 0) return -1;
  snprintf(upper, sizeof upper, "%s/u", aside);
  snprintf(work, sizeof work, "%s/w", aside);
  if (mkdir(upper, 01777) < 0 || mkdir(work, 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", upper);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s,userxattr", seed, upper,
           work);
  if (mount("overlay", path, "overlay", flags, options) < 0)
    return FAIL_ERRNO(e, "mounting %s (overlay)", path);
  return 0;
}

static int mount_kernel(const struct family *f, const struct root_plan *plan, struct error *e) {
  const unsigned long bare = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount("proc", "m/r/proc", "proc", bare, NULL) < 0) return FAIL_ERRNO(e, "mounting /proc");
  if (mount("sysfs", "m/r/sys", "sysfs", bare | MS_RDONLY, NULL) < 0)
    return FAIL_ERRNO(e, "mounting /sys");
  if (mount("dev", "m/r/dev", NULL, MS_BIND | MS_REC, NULL) < 0)
    return FAIL_ERRNO(e, "binding /dev");
  if (mount("devpts", "m/r/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
            "newinstance,ptmxmode=0666,mode=0620") < 0)
    return FAIL_ERRNO(e, "mounting /dev/pts");
  const char *shm = seed_of(plan, "w/shm", f->seeded_shm, "b/0/shm");
  const char *tmp = seed_of(plan, "w/tmp", f->seeded_tmp, "b/0/tmp");
  if (mount_scratch("m/r/dev/shm", plan->files.shm_bytes, shm, "s", e) < 0) return -1;
  return mount_scratch("m/r/tmp", plan->files.tmp_bytes, tmp, "t", e);
}

static int pivot(struct error *e) {
  if (chdir("m/r") < 0) return FAIL_ERRNO(e, "chdir to the new root");
  if (sys_pivot_root(".", ".") < 0) return FAIL_ERRNO(e, "pivot_root");
  if (umount2(".", MNT_DETACH) < 0) return FAIL_ERRNO(e, "detaching the old root");
  return chdir("/") < 0 ? FAIL_ERRNO(e, "chdir /") : 0;
}

int root_enter(const struct family *f, struct root_plan *plan, struct error *e) {
  umask(0);
  if (mount_overlay(f, plan, e) < 0 || mount_kernel(f, plan, e) < 0) return -1;
  plan->upper = open("m", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (plan->upper < 0) return FAIL_ERRNO(e, "opening the writable layer");
  if (plan->is_template && mount("python", "m/r/.forkd/python", NULL, MS_BIND, NULL) < 0)
    return FAIL_ERRNO(e, "binding the runtime's files");
  if (masks_apply(f, "m/r", e) < 0 || pivot(e) < 0) return -1;
  umask(0022);
  return 0;
}

int resource_limits_set(int64_t open_files, struct error *e) {
  struct rlimit files;
  // One and not zero: where core_pattern is a pipe the kernel heeds only that value, and with any
  // other it starts the host's crash handler, as the host's root, on what a sandbox has made.
  const struct rlimit no_core = {1, 1}, locked = {LOCKED_MEMORY_MAX, LOCKED_MEMORY_MAX};
  if (getrlimit(RLIMIT_NOFILE, &files) < 0) return FAIL_ERRNO(e, "getrlimit");
  // Never up: that takes a privilege which a container with root may lack.
  if (files.rlim_max > (rlim_t)open_files) files.rlim_max = (rlim_t)open_files;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
      setrlimit(RLIMIT_MEMLOCK, &locked) < 0)
    return FAIL_ERRNO(e, "setrlimit");
  return 0;
}

int loopback_up(struct error *e) {
  struct ifreq request = {.ifr_name = "lo"};
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return FAIL_ERRNO(e, "a socket for the loopback interface");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? FAIL_ERRNO(e, "raising lo") : 0;
}
