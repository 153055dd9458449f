// Networks of sandboxes: one namespace each, named so that ip-netns(8) sees it. All have the same
// inside: a device with 10.42.0.1/24 and one hardware address, so that what a template remembers of
// its neighbour is true in every child. It is tap0 for a virtual machine; for a sandbox that is
// processes it comes later (plug.c).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

#define RUN_DIR "/run/netns"
#define LOCK "/run/forkd-netns.lock"
#define PREFIX "forkd-child-"

enum { NAMES_MAX = 4096, PATH_SIZE = 512 };

static const unsigned char tap_address[6] = {0x02, 0x66, 0x6b, 0x64, 0, 1};

// Two daemons must not take one name, and a sweep must not meet a name that is half made.
static int lock_names(struct error *e) {
  int fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || flock(fd, LOCK_EX) < 0) return FAIL_ERRNO(e, "locking %s", LOCK);
  return fd;
}

// As ip-netns(8) does: mounts below it must be seen by whoever has a mount namespace of its own.
static int prepare_run_dir(struct error *e) {
  if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST) return FAIL_ERRNO(e, "mkdir %s", RUN_DIR);
  if (mount("", RUN_DIR, "none", MS_SHARED | MS_REC, NULL) == 0) return 0;
  if (mount(RUN_DIR, RUN_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
      mount("", RUN_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
    return FAIL_ERRNO(e, "mounting %s", RUN_DIR);
  return 0;
}

static int device(int fd, unsigned long command, struct ifreq *request, const char *what,
                  struct error *e) {
  return ioctl(fd, command, request) < 0 ? FAIL_ERRNO(e, "%s of %s", what, request->ifr_name) : 0;
}

static int raise_device(int fd, const char *name, struct error *e) {
  struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
  snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
  return device(fd, SIOCSIFFLAGS, &r, "raising", e);
}

static int set_address(int fd, unsigned long command, const char *text, struct error *e) {
  struct ifreq r = {.ifr_name = "tap0"};
  struct sockaddr_in *address = (struct sockaddr_in *)&r.ifr_addr;
  address->sin_family = AF_INET;
  inet_pton(AF_INET, text, &address->sin_addr);
  return device(fd, command, &r, "the address", e);
}

static int open_tap(struct error *e) {
  struct ifreq r = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI};
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening /dev/net/tun");
  if (ioctl(fd, TUNSETIFF, &r) == 0) return fd;
  FAIL_ERRNO(e, "opening tap0");
  close(fd);
  return -1;
}

static int loopback_only(struct error *e) {
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? FAIL_ERRNO(e, "a socket") : raise_device(fd, "lo", e);
}

// What is beyond a sandbox speaks IPv4 alone: no rule is written for another one, and devices that
// are made later have no address of it. In the namespace that this process has just made.
static int without_ipv6(struct error *e) {
  const char *const path = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
  if (access(path, F_OK) < 0 && errno == ENOENT) return 0; // a kernel that has none
  return switch_on(path, e);
}

// In the namespace that this process has just made.
static int furnish(struct error *e) {
  struct ifreq r = {.ifr_name = "tap0", .ifr_hwaddr = {.sa_family = ARPHRD_ETHER}};
  memcpy(r.ifr_hwaddr.sa_data, tap_address, sizeof tap_address);
  cleanup_fd int tap = open_tap(e);
  cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (tap < 0) return -1;
  if (fd < 0 || ioctl(tap, TUNSETPERSIST, 1) < 0) return FAIL_ERRNO(e, "keeping tap0");
  if (device(fd, SIOCSIFHWADDR, &r, "the hardware address", e) < 0 ||
      set_address(fd, SIOCSIFADDR, "10.42.0.1", e) < 0 ||
      set_address(fd, SIOCSIFNETMASK, "255.255.255.0", e) < 0)
    return -1;
  return raise_device(fd, "tap0", e) < 0 ? -1 : raise_device(fd, "lo", e);
}

// The record holds the namespace's number before the name exists: a sweep that comes after a crash
// removes what has that number and nothing else.
static int record(const char *path, struct error *e) {
  struct stat st;
  if (stat("/proc/self/ns/net", &st) < 0) return FAIL_ERRNO(e, "/proc/self/ns/net");
  cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || dprintf(fd, "%llu\n", (unsigned long long)st.st_ino) < 0)
    return FAIL_ERRNO(e, "writing %s", path);
  return 0;
}

static int publish(const char *name, struct error *e) {
  char path[PATH_SIZE];
  snprintf(path, sizeof path, RUN_DIR "/%s", name);
  cleanup_fd int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
  if (fd < 0) return FAIL_ERRNO(e, "creating %s", path);
  if (mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) < 0) {
    FAIL_ERRNO(e, "mounting %s", path);
    unlink(path);
    return -1;
  }
  return 0;
}

static int free_number(const char *records, struct error *e) {
  for (int k = 1; k <= NAMES_MAX; k++) {
    char name[PATH_SIZE], mine[PATH_SIZE];
    snprintf(name, sizeof name, RUN_DIR "/" PREFIX "%d", k);
    snprintf(mine, sizeof mine, "%s/" PREFIX "%d", records, k);
    if (access(name, F_OK) < 0 && access(mine, F_OK) < 0) return k;
  }
  return FAIL(e, ERR_EXHAUSTED, "all %d names of network namespaces are taken", NAMES_MAX);
}

static bool is_namespace(const char *path, unsigned long long inode) {
  struct statfs fs;
  struct stat st;
  return statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC && stat(path, &st) == 0 &&
         st.st_ino == inode;
}

static bool is_placeholder(const char *path) {
  struct statfs fs;
  return statfs(path, &fs) == 0 && fs.f_type != NSFS_MAGIC;
}

// Under the lock.
static int forget(const char *records, const char *name, struct error *e) {
  char mine[PATH_SIZE], path[PATH_SIZE];
  unsigned long long inode = 0;
  snprintf(mine, sizeof mine, "%s/%s", records, name);
  snprintf(path, sizeof path, RUN_DIR "/%s", name);
  FILE *file = fopen(mine, "re");
  if (!file) return FAIL_ERRNO(e, "opening %s", mine);
  int found = fscanf(file, "%llu", &inode);
  fclose(file);
  if (found == 1 && is_namespace(path, inode)) {
    // Its devices go with it; the host's end of a pair goes with the other end.
    uplink_remove(name);
    if (umount2(path, MNT_DETACH) < 0) return FAIL_ERRNO(e, "unmounting %s", path);
    unlink(path);
  } else if (is_placeholder(path)) {
    unlink(path);
  }
  return unlink(mine) < 0 ? FAIL_ERRNO(e, "removing %s", mine) : 0;
}

static int number_of(const char *name) { return atoi(name + sizeof PREFIX - 1); }

bool net_is_name(const char *name) {
  return strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 && !strchr(name, '/') &&
         number_of(name) > 0 && number_of(name) <= NAMES_MAX;
}

int net_add(const char *records, const char *kind, const char *card, struct error *e) {
  bool nat = strcmp(kind, "nat") == 0, tap = strcmp(card, "tap") == 0;
  char name[64], mine[PATH_SIZE];
  if (!nat && strcmp(kind, "local") != 0) return FAIL(e, ERR_INVALID, "local or nat, not %s", kind);
  if (!tap && strcmp(card, "pair") != 0) return FAIL(e, ERR_INVALID, "tap or pair, not %s", card);
  cleanup_fd int lock = lock_names(e);
  if (lock < 0 || prepare_run_dir(e) < 0) return -1;
  int k = free_number(records, e);
  if (k < 0) return -1;
  cleanup_fd int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  snprintf(name, sizeof name, PREFIX "%d", k);
  snprintf(mine, sizeof mine, "%s/%s", records, name);
  if (host < 0 || unshare(CLONE_NEWNET) < 0) return FAIL_ERRNO(e, "a network namespace");
  if (without_ipv6(e) < 0 || (tap ? furnish(e) : loopback_only(e)) < 0 ||
      (nat && forwarding_on(e) < 0) || record(mine, e) < 0)
    return -1;
  struct error ignored;
  if (publish(name, e) < 0) {
    unlink(mine);
    return -1;
  }
  if (nat && (setns(host, CLONE_NEWNET) < 0 ? FAIL_ERRNO(e, "going back")
                                            : uplink_add(name, k, e)) < 0) {
    forget(records, name, &ignored);
    return -1;
  }
  printf("%s\n", name);
  return 0;
}

int net_remove(const char *records, const char *name, struct error *e) {
  if (!net_is_name(name)) return FAIL(e, ERR_INVALID, "no network of forkd: %s", name);
  cleanup_fd int lock = lock_names(e);
  return lock < 0 ? -1 : forget(records, name, e);
}

int net_sweep(const char *records, struct error *e) {
  int removed = 0;
  cleanup_fd int lock = lock_names(e);
  DIR *dir = lock < 0 ? NULL : opendir(records);
  if (!dir) return lock < 0 ? -1 : FAIL_ERRNO(e, "opening %s", records);
  for (struct dirent *d; (d = readdir(dir));) {
    if (!net_is_name(d->d_name)) continue;
    if (forget(records, d->d_name, e) == 0) removed++;
    else fprintf(stderr, "forkd-net: %s\n", e->message);
  }
  closedir(dir);
  printf("%d\n", removed);
  return 0;
}

int net_open(const char *name, struct error *e) {
  char path[PATH_SIZE];
  if (!net_is_name(name)) return FAIL(e, ERR_INVALID, "no network of forkd: %s", name);
  snprintf(path, sizeof path, RUN_DIR "/%s", name);
  int there = open(path, O_RDONLY | O_CLOEXEC);
  return there < 0 ? FAIL_ERRNO(e, "opening the network %s", name) : there;
}

int net_enter(const char *name, struct error *e) {
  cleanup_fd int there = net_open(name, e);
  if (there < 0) return -1;
  return setns(there, CLONE_NEWNET) < 0 ? FAIL_ERRNO(e, "entering the network %s", name) : 0;
}

int net_open_tap(const char *name, struct error *e) {
  cleanup_fd int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (host < 0) return FAIL_ERRNO(e, "/proc/self/ns/net");
  if (net_enter(name, e) < 0) return -1;
  int tap = open_tap(e);
  if (setns(host, CLONE_NEWNET) == 0) return tap;
  FAIL_ERRNO(e, "leaving the network %s", name);
  if (tap >= 0) close(tap);
  return -1;
}
