#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/seccomp.h"
#include "guest.h"

int make_directory(const char *path, struct error *e) {
  char part[4096];
  for (size_t i = 0; i + 1 < sizeof part; i++) {
    part[i] = path[i];
    if (i == 0 || (path[i] != '/' && path[i])) continue;
    part[i] = 0;
    if (mkdir(part, 0755) < 0 && errno != EEXIST) return FAIL_ERRNO(e, "mkdir %s", part);
    if (!path[i]) return 0;
    part[i] = '/';
  }
  return FAIL(e, ERR_INVALID, "a path is too long");
}

int mount_at(const char *what, const char *where, const char *type, unsigned long flags,
             const char *options, struct error *e) {
  if (make_directory(where, e) < 0) return -1;
  if (mount(what, where, type, flags, options) < 0)
    return FAIL_ERRNO(e, "mounting %s at %s (%s)", what, where, options ? options : "");
  return 0;
}

int write_text(const char *path, const char *text, struct error *e) {
  cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || dprintf(fd, "%s", text) < 0) return FAIL_ERRNO(e, "writing %s", path);
  return 0;
}

static int read_all(const char *path, struct buffer *out, struct error *e) {
  uint8_t chunk[16384];
  ssize_t n;
  cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FAIL_ERRNO(e, "opening %s", path);
  while ((n = read(fd, chunk, sizeof chunk)) > 0)
    if (buffer_append(out, chunk, (size_t)n, e) < 0) return -1;
  return n < 0 ? FAIL_ERRNO(e, "reading %s", path) : 0;
}

int spec_read(struct guest_spec *s, struct error *e) {
  const struct frame *f = &s->frame;
  *s = (struct guest_spec){0};
  if (read_all(GUEST_SPEC, &s->bytes, e) < 0) return -1;
  int parsed = frame_parse(s->bytes.bytes, s->bytes.length, &s->frame, e);
  if (parsed == 0) return FAIL(e, ERR_INVALID, "%s is cut short", GUEST_SPEC);
  if (parsed < 0 || frame_texts(f, K_NAME, 64, &s->modules, e) < 0 ||
      frame_texts(f, K_ARGV, 64, &s->argv, e) < 0 || frame_texts(f, K_ENV, 4096, &s->env, e) < 0 ||
      frame_texts(f, K_HIDDEN, 4096, &s->hidden, e) < 0 ||
      frame_texts(f, K_WRITABLE, 4096, &s->writable, e) < 0 ||
      frame_text(f, K_CWD, &s->workdir, e) < 0 ||
      frame_int(f, K_BYTES, 1, 1, GUEST_LAYERS_MAX, &s->layers, e) < 0 ||
      frame_int(f, K_DISK_BYTES, 0, 0, INT64_MAX, &s->disk_bytes, e) < 0 ||
      frame_int(f, K_TMP_BYTES, 0, 0, INT64_MAX, &s->tmp_bytes, e) < 0 ||
      frame_int(f, K_SHM_BYTES, 0, 0, INT64_MAX, &s->shm_bytes, e) < 0 ||
      frame_int(f, K_NETWORK, 0, 0, 1, &s->network, e) < 0 ||
      frame_int(f, K_OPEN_FILES, 0, 0, INT32_MAX, &s->open_files, e) < 0 ||
      frame_texts(f, K_SYSCALLS, 64, &s->syscalls, e) < 0 || filter_check(s->syscalls, e) < 0)
    return -1;
  return s->workdir ? 0 : FAIL(e, ERR_INVALID, "%s names no working directory", GUEST_SPEC);
}

static int start(struct error *e) {
  struct guest_spec spec;
  if (mount_at("proc", "/proc", "proc", 0, NULL, e) < 0 ||
      mount_at("sys", "/sys", "sysfs", 0, NULL, e) < 0 ||
      mount_at("dev", "/dev", "devtmpfs", 0, NULL, e) < 0 || spec_read(&spec, e) < 0)
    return -1;
  if (modules_load(&spec, e) < 0 || root_make(&spec, e) < 0) return -1;
  if (spec.network && network_make(e) < 0) return -1;
  return sandbox_run(&spec, e);
}

int main(void) {
  struct error e;
  umask(022);
  if (start(&e) < 0) {
    // The console is where the host looks for the reason.
    bool probe = e.kind == ERR_NOT_FOUND && access(GUEST_SPEC, F_OK) < 0;
    if (probe) printf("forkd-init: the kernel boots\n");
    else printf("forkd-init: %s\n", e.message);
    fflush(stdout);
  }
  // Restarting ends QEMU, which runs with -no-reboot.
  sync();
  reboot(RB_AUTOBOOT);
  return 1;
}
