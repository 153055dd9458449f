// First process of the machine that lends its (emulated) virtualization to forkd: loads modules,
// mounts the disk and hands over to a program on it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// In the order in which they need one another.
static const char *const modules[] = {
    "virtio_ring", "virtio",    "virtio_mmio", "virtio_blk", "virtio-rng", "overlay",
    "failover",    "net_failover", "tun",      "irqbypass",  "kvm",        "kvm-amd",
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void load(const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/modules/%s.ko", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0) fail(path);
  close(fd);
}

static void make(const char *kind, const char *at) {
  if (mount(kind, at, kind, 0, NULL) < 0) fail(at);
}

int main(void) {
  make("devtmpfs", "/dev");
  for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) load(modules[i]);
  if (mount("/dev/vda", "/root", "ext4", 0, NULL) < 0) fail("/dev/vda");
  if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
    fail("the disk as /");
  make("devtmpfs", "/dev");
  make("proc", "/proc");
  make("sysfs", "/sys");
  make("tmpfs", "/run");
  make("tmpfs", "/tmp");
  if (mkdir("/dev/shm", 0755) < 0) fail("/dev/shm");
  make("tmpfs", "/dev/shm");
  make("cgroup2", "/sys/fs/cgroup");
  setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  execl("/usr/bin/python3", "python3", "/opt/check/check.py", (char *)NULL);
  fail("/usr/bin/python3");
}
