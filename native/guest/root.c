// The sandbox's root: read-only layers, a writable layer in memory, devices, temporary directories.
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/devices.h"
#include "guest.h"

enum { DEVICE_TRIES = 1000, DEVICE_WAIT_US = 10000 };

// A driver's probe may end after its module is loaded, and devtmpfs tells nobody of a new node.
static int wait_for(const char *path, struct error *e) {
  for (int i = 0; i < DEVICE_TRIES && access(path, F_OK) < 0; i++) usleep(DEVICE_WAIT_US);
  return access(path, F_OK) < 0 ? FAIL_ERRNO(e, "waiting for %s", path) : 0;
}

static int mount_layers(const struct guest_spec *s, char *lower, size_t size, struct error *e) {
  size_t used = 0;
  for (int i = 0; i < s->layers; i++) {
    char device[32], where[64];
    snprintf(device, sizeof device, "/dev/vd%c", 'a' + i);
    snprintf(where, sizeof where, GUEST_LAYERS "/%d", i);
    if (wait_for(device, e) < 0 || mount_at(device, where, "ext4", MS_RDONLY, NULL, e) < 0)
      return -1;
    used += (size_t)snprintf(lower + used, size - used, "%s%s", i ? ":" : "", where);
  }
  return 0;
}

// What a path is in the topmost layer that has it.
static bool find_lower(const struct guest_spec *s, const char *path, struct stat *out) {
  for (int i = 0; i < s->layers; i++) {
    char at[4096];
    snprintf(at, sizeof at, GUEST_LAYERS "/%d%s", i, path);
    if (lstat(at, out) == 0) return true;
  }
  return false;
}

// A directory of the upper layer stands for the one below it, so it takes over its attributes.
static int copy_directory(const char *upper, const struct stat *lower, struct error *e) {
  if (mkdir(upper, lower->st_mode & 07777) < 0) return errno == EEXIST ? 0 : FAIL_ERRNO(e, "mkdir");
  if (chown(upper, lower->st_uid, lower->st_gid) < 0) return FAIL_ERRNO(e, "chown %s", upper);
  return chmod(upper, lower->st_mode & 07777) < 0 ? FAIL_ERRNO(e, "chmod %s", upper) : 0;
}

static int copy_parents(const struct guest_spec *s, const char *path, struct error *e) {
  for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    char part[2048], upper[4096];
    struct stat st;
    snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
    snprintf(upper, sizeof upper, GUEST_UPPER "/files%s", part);
    if (!find_lower(s, part, &st) || !S_ISDIR(st.st_mode))
      return FAIL(e, ERR_INVALID, "%s cannot be hidden: %s is no directory", path, part);
    if (copy_directory(upper, &st, e) < 0) return -1;
  }
  return 0;
}

// As overlayfs itself hides (Documentation/filesystems/overlayfs.rst): a directory that is opaque,
// or a whiteout.
static int hide(const struct guest_spec *s, const char *path, struct error *e) {
  char upper[4096];
  struct stat st;
  if (!find_lower(s, path, &st)) return 0;
  if (copy_parents(s, path, e) < 0) return -1;
  snprintf(upper, sizeof upper, GUEST_UPPER "/files%s", path);
  if (!S_ISDIR(st.st_mode))
    return mknod(upper, S_IFCHR, 0) < 0 && errno != EEXIST ? FAIL_ERRNO(e, "hiding %s", path) : 0;
  if (copy_directory(upper, &st, e) < 0) return -1;
  if (lsetxattr(upper, "trusted.overlay.opaque", "y", 1, 0) < 0)
    return FAIL_ERRNO(e, "hiding %s", path);
  return 0;
}

static int mount_overlay(const struct guest_spec *s, struct error *e) {
  char lower[512], options[1024], size[64];
  snprintf(size, sizeof size, "mode=755,size=%lld", (long long)s->disk_bytes);
  if (mount_layers(s, lower, sizeof lower, e) < 0) return -1;
  if (mount_at("upper", GUEST_UPPER, "tmpfs", 0, size, e) < 0) return -1;
  if (make_directory(GUEST_UPPER "/files", e) < 0 || make_directory(GUEST_UPPER "/work", e) < 0)
    return -1;
  for (char **path = s->hidden; *path; path++)
    if (hide(s, *path, e) < 0) return -1;
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower,
           GUEST_UPPER "/files", GUEST_UPPER "/work");
  return mount_at("root", GUEST_ROOT, "overlay", 0, options, e);
}

static int make_writable(const char *path, struct error *e) {
  char at[4096];
  struct stat st;
  snprintf(at, sizeof at, GUEST_ROOT "%s", path);
  if (make_directory(at, e) < 0) return -1;
  if (stat(at, &st) < 0 || chown(at, 0, 0) < 0 || chmod(at, (st.st_mode & 07777) | 0700) < 0)
    return FAIL_ERRNO(e, "making %s writable", path);
  return 0;
}

static int make_devices(struct error *e) {
  cleanup_fd int dev = open(GUEST_ROOT "/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dev < 0) return FAIL_ERRNO(e, "opening " GUEST_ROOT "/dev");
  return devices_make(dev, 0, e);
}

static int mount_temporary(const char *where, int64_t bytes, struct error *e) {
  char options[64];
  snprintf(options, sizeof options, "mode=1777,size=%lld", (long long)bytes);
  return mount_at("tmpfs", where, "tmpfs", MS_NOSUID | MS_NODEV, options, e);
}

static int raise_loopback(struct error *e) {
  struct ifreq request = {.ifr_name = "lo"};
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0) return FAIL_ERRNO(e, "the loopback device");
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? FAIL_ERRNO(e, "the loopback device") : 0;
}

int root_make(const struct guest_spec *s, struct error *e) {
  if (mount_overlay(s, e) < 0) return -1;
  for (char **path = s->writable; *path; path++)
    if (make_writable(*path, e) < 0) return -1;
  if (make_writable(s->workdir, e) < 0 || (s->argv[0] && front_place(s, e) < 0)) return -1;
  if (mount_at("dev", GUEST_ROOT "/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m", e) < 0 ||
      make_devices(e) < 0 ||
      mount_at("pts", GUEST_ROOT "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
               "newinstance,ptmxmode=0666,mode=0620", e) < 0 ||
      mount_temporary(GUEST_ROOT "/dev/shm", s->shm_bytes, e) < 0 ||
      mount_temporary(GUEST_ROOT "/tmp", s->tmp_bytes, e) < 0 ||
      mount_at("run", GUEST_ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m", e) < 0)
    return -1;
  if (mount_at("sys", GUEST_ROOT "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
               NULL, e) < 0)
    return -1;
  if (mount_at(GUEST_FORKD, GUEST_ROOT "/.forkd", NULL, MS_BIND, NULL, e) < 0) return -1;
  return raise_loopback(e);
}
