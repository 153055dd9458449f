#define _GNU_SOURCE
#include "sys.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "protocol.h"

pid_t sys_clone(uint64_t flags, int *pidfd) {
  struct clone_args args = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
  if (pidfd) {
    args.flags |= CLONE_PIDFD;
    args.pidfd = (uintptr_t)pidfd;
  }
  return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

int sys_open_tree(int dir, const char *path, unsigned flags) {
  return (int)syscall(SYS_open_tree, dir, path, flags);
}

int sys_move_mount(int from, int to_dir, const char *to) {
  return (int)syscall(SYS_move_mount, from, "", to_dir, to, MOVE_MOUNT_FROM_EMPTY);
}

int sys_mount_setattr(int dir, const char *path, unsigned flags, const struct mount_attributes *a) {
  return (int)syscall(SYS_mount_setattr, dir, path, flags, a, sizeof *a);
}

int sys_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_pidfd_kill(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

bool sys_pidfd_alive(int pidfd) {
  struct pollfd p = {.fd = pidfd, .events = POLLIN};
  return poll(&p, 1, 0) == 0;
}

int sys_close_from(unsigned first) {
  return (int)syscall(SYS_close_range, first, ~0u, 0);
}

void sys_name(const char *name) { prctl(PR_SET_NAME, name); }

int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

int check_name(const char *what, const char *name, struct error *e) {
  size_t n = name ? strlen(name) : 0;
  bool good = n >= 1 && n <= NAME_MAX_LENGTH;
  for (size_t i = 0; good && i < n; i++) good = is_name_byte(name[i]);
  return good ? 0 : FAIL(e, ERR_INVALID, "%s must be 1 to 64 of A-Z a-z 0-9 _ -", what);
}

int check_path(const char *what, const char *path, struct error *e) {
  if (!path || path[0] != '/' || strlen(path) >= 1024)
    return FAIL(e, ERR_INVALID, "%s must be an absolute path shorter than 1024 bytes", what);
  if (!path[1]) return 0;
  for (const char *at = path; at; at = strchr(at + 1, '/')) {
    size_t n = strcspn(at + 1, "/");
    if (n == 0 || n > 255 || (n == 1 && at[1] == '.') || (n == 2 && at[1] == '.' && at[2] == '.'))
      return FAIL(e, ERR_INVALID, "%s must be a normal path without . .. // : %s", what, path);
  }
  return 0;
}

int check_hostname(const char *name, struct error *e) {
  size_t n = name ? strlen(name) : 0;
  bool good = n >= 1 && n <= 63 && name[0] != '-' && name[n - 1] != '-';
  for (size_t i = 0; good && i < n; i++)
    good = (is_name_byte(name[i]) && name[i] != '_') || name[i] == '.';
  return good ? 0 : FAIL(e, ERR_INVALID, "a hostname must be 1 to 63 of A-Z a-z 0-9 . -");
}

bool is_hex(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!isxdigit((unsigned char)text[i])) return false;
  return text[length] == 0;
}

static int write_whole(int fd, const char *path, const char *text, struct error *e) {
  size_t n = strlen(text);
  ssize_t wrote = write(fd, text, n);
  if (wrote < 0) return FAIL_ERRNO(e, "writing \"%.40s\" to %s", text, path);
  return (size_t)wrote == n ? 0 : FAIL(e, ERR_IO, "%s took only %zd bytes", path, wrote);
}

int write_text(int dir, const char *path, const char *text, struct error *e) {
  cleanup_fd int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s for writing", path);
  return write_whole(fd, path, text, e);
}

int create_file(int dir, const char *path, const char *text, mode_t mode, struct error *e) {
  cleanup_fd int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return FAIL_ERRNO(e, "creating %s", path);
  if (fchmod(fd, mode) < 0) return FAIL_ERRNO(e, "fchmod %s", path);
  return *text ? write_whole(fd, path, text, e) : 0;
}

ssize_t read_text(int dir, const char *path, char *text, size_t size, struct error *e) {
  cleanup_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", path);
  size_t used = 0;
  while (used < size - 1) {
    ssize_t n = read(fd, text + used, size - 1 - used);
    if (n < 0) return FAIL_ERRNO(e, "reading %s", path);
    if (n == 0) break;
    used += (size_t)n;
  }
  text[used] = 0;
  return (ssize_t)used;
}

int keep_only(int *fds, size_t count, struct error *e) {
  // Twice: first out of the way, for one target may be another's source.
  for (size_t i = 0; i < count; i++) {
    if (fds[i] < 0) continue;
    fds[i] = fcntl(fds[i], F_DUPFD, (int)(3 + count));
    if (fds[i] < 0) return FAIL_ERRNO(e, "moving a descriptor");
  }
  int next = 3;
  for (size_t i = 0; i < count; i++) {
    if (fds[i] < 0) continue;
    if (dup3(fds[i], next, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "moving a descriptor");
    fds[i] = next++;
  }
  return sys_close_from((unsigned)next) < 0 ? FAIL_ERRNO(e, "close_range") : 0;
}

int null_stdio(struct error *e) {
  cleanup_fd int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening /dev/null");
  for (int i = 0; i < 3; i++)
    if (dup2(fd, i) < 0) return FAIL_ERRNO(e, "replacing descriptor %d", i);
  if (fd < 3) fd = -1;
  return 0;
}
