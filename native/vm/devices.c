// /dev of a QEMU that KVM runs guests for. It is nobody's user, and may not open the host's
// /dev/kvm, which belongs to root alone or to a group; so it gets one of its own, in mounts of its
// own.
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vm.h"

static int make_node(const char *path, dev_t device, mode_t mode, struct error *e) {
  return mknod(path, S_IFCHR | mode, device) < 0 || chmod(path, mode) < 0
             ? FAIL_ERRNO(e, "making %s for QEMU", path)
             : 0;
}

int kvm_lend(uid_t uid, gid_t gid, struct error *e) {
  struct stat kvm;
  if (stat("/dev/kvm", &kvm) < 0) return FAIL_ERRNO(e, "/dev/kvm");
  // Private, so that the host's own /dev stays as it is.
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
    return FAIL_ERRNO(e, "a /dev for QEMU");
  if (make_node("/dev/null", makedev(1, 3), 0666, e) < 0 ||
      make_node("/dev/urandom", makedev(1, 9), 0666, e) < 0 ||
      make_node("/dev/kvm", kvm.st_rdev, 0600, e) < 0)
    return -1;
  return chown("/dev/kvm", uid, gid) < 0 ? FAIL_ERRNO(e, "lending /dev/kvm to QEMU") : 0;
}
