// System calls that musl 1.2.3 does not wrap, and small pieces of text handling.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

// From linux/mount.h, which cannot be included beside sys/mount.h.
#define OPEN_TREE_CLONE_FLAG 1u
#define MOVE_MOUNT_FROM_EMPTY 0x00000004u
#define ATTR_RDONLY 0x00000001u
#define ATTR_NOSUID 0x00000002u
#define ATTR_NODEV 0x00000004u
#define ATTR_NOEXEC 0x00000008u
#define ATTR_IDMAP 0x00100000u

struct mount_attributes {
  uint64_t set, clear, propagation, userns_fd;
};

// fork(2) with clone flags; the pidfd of the child is stored when `pidfd` is not NULL. Returns the
// pid, 0 in the child, -1 with errno. Every process here has one thread and never calls exit
// handlers of its parent, so skipping libc's fork is safe.
pid_t sys_clone(uint64_t flags, int *pidfd);
int sys_open_tree(int dir, const char *path, unsigned flags);
int sys_move_mount(int from, int to_dir, const char *to);
int sys_mount_setattr(int dir, const char *path, unsigned flags, const struct mount_attributes *a);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_pidfd_kill(int pidfd, int signal);
// False once the process has ended, reaped or not.
bool sys_pidfd_alive(int pidfd);
int sys_close_from(unsigned first);
// Names the process in ps and /proc/PID/comm.
void sys_name(const char *name);
int64_t now_ms(void);

// Fills `e` and returns -1 when a name is not [A-Za-z0-9_-]{1,64}.
int check_name(const char *what, const char *name, struct error *e);
// An absolute path without "." and ".." components, double or trailing slashes ("/" is fine).
int check_path(const char *what, const char *path, struct error *e);
// A host name as RFC 1123 has it, at most 63 bytes.
int check_hostname(const char *name, struct error *e);
bool is_hex(const char *text, size_t length);

// Writes a whole small file (no O_CREAT).
int write_text(int dir, const char *path, const char *text, struct error *e);
// Creates a file with exactly this mode and content.
int create_file(int dir, const char *path, const char *text, mode_t mode, struct error *e);
// Reads at most size - 1 bytes and terminates them; the length, or -1.
ssize_t read_text(int dir, const char *path, char *text, size_t size, struct error *e);
// Moves each descriptor of the list to 3, 4, … in order and closes all others above.
int keep_only(int *fds, size_t count, struct error *e);
// Replaces 0, 1 and 2.
int null_stdio(struct error *e);
