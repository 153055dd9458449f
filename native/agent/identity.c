#define _GNU_SOURCE
#include "identity.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "runtime.h"
#include "session.h"
#include "state.h"

// The launcher's keys, which these fields share (docs/process-engine.md).
enum {
  K_MEMORY_BYTES = 72, K_PIDS_MAX = 73, K_CPU_MILLIS = 74, K_DISK_BYTES = 75, K_TMP_BYTES = 76,
  K_SHM_BYTES = 77, K_MACHINE_ID = 80, K_OOM_KILLS = 83, K_HOSTNAME = 85,
};

enum { ENTROPY_MIN = 16, ENTROPY_MAX = 256, CPU_PERIOD_US = 100000 };

struct identity_request {
  struct request request;
  struct runtime_call call;
};

// Crediting alone leaves the generator as it was for up to a minute; reseeding without credit
// would draw from the pool that every sibling has too (random(4)).
static int add_entropy(const struct frame *f, struct error *e) {
  struct field data;
  struct {
    struct rand_pool_info info;
    uint8_t bytes[ENTROPY_MAX];
  } pool;
  if (!frame_find(f, K_DATA, &data) || data.length < ENTROPY_MIN || data.length > ENTROPY_MAX)
    return FAIL(e, ERR_INVALID, "IDENTITY needs %d to %d bytes of entropy", ENTROPY_MIN,
                ENTROPY_MAX);
  pool.info.entropy_count = (int)data.length * 8;
  pool.info.buf_size = (int)data.length;
  memcpy(pool.info.buf, data.bytes, data.length);
  cleanup_fd int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
    return FAIL_ERRNO(e, "re-seeding the kernel's random numbers");
  return 0;
}

static int set_clock(const struct frame *f, struct error *e) {
  int64_t ns;
  if (frame_int(f, K_TIME_NS, 0, 1, INT64_MAX, &ns, e) < 0) return -1;
  struct timespec now = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  return clock_settime(CLOCK_REALTIME, &now) < 0 ? FAIL_ERRNO(e, "setting the clock") : 0;
}

static int write_line(const char *path, const char *line, struct error *e) {
  cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || dprintf(fd, "%s\n", line) < 0) return FAIL_ERRNO(e, "writing %s", path);
  return 0;
}

static int set_names(const struct frame *f, struct error *e) {
  cleanup_free char *host = NULL, *machine = NULL;
  if (frame_text(f, K_HOSTNAME, &host, e) < 0 || frame_text(f, K_MACHINE_ID, &machine, e) < 0)
    return -1;
  if (!host || !machine) return FAIL(e, ERR_INVALID, "IDENTITY needs a host name and machine id");
  if (sethostname(host, strlen(host)) < 0) return FAIL_ERRNO(e, "setting the host name");
  return write_line("/etc/hostname", host, e) < 0 ? -1 : write_line("/etc/machine-id", machine, e);
}

static int limit_cgroup(int dir, const char *file, int64_t value, struct error *e) {
  if (value == 0) return 0;
  cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
  bool cpu = strcmp(file, "cpu.max") == 0;
  if (fd < 0 || (cpu ? dprintf(fd, "%lld %d", (long long)value * CPU_PERIOD_US / 1000,
                               CPU_PERIOD_US)
                     : dprintf(fd, "%lld", (long long)value)) < 0)
    return FAIL_ERRNO(e, "setting %s to %lld", file, (long long)value);
  return 0;
}

// memory.events of cgroup v2 has a line "oom_kill N" among others.
void identity_tell_kills(const struct agent_guest *guest, struct frame_writer *w) {
  char text[512] = "\n";
  cleanup_fd int fd = openat(guest->cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text + 1, sizeof text - 2);
  if (n < 0) return; // no controller: nothing was killed for it
  text[n + 1] = 0;
  const char *at = strstr(text, "\noom_kill ");
  if (at) put_int(w, K_OOM_KILLS, strtoll(at + 10, NULL, 10));
}

static int limit_mount(const char *path, unsigned long flags, int64_t bytes, struct error *e) {
  char size[48];
  snprintf(size, sizeof size, "size=%lld", (long long)bytes);
  if (mount(NULL, path, NULL, MS_REMOUNT | flags, size) < 0)
    return FAIL_ERRNO(e, "setting the size of %s", path);
  return 0;
}

// The writable layer's own mount is not to be seen from here; fspick(2) needs no path to it.
static int limit_disk(int dir, int64_t bytes, struct error *e) {
  enum { FSPICK_NO_AUTOMOUNT_ = 4, FSPICK_EMPTY_PATH_ = 8, SET_STRING = 1, RECONFIGURE = 7 };
  char size[32];
  snprintf(size, sizeof size, "%lld", (long long)bytes);
  cleanup_fd int fs =
      (int)syscall(SYS_fspick, dir, "", FSPICK_EMPTY_PATH_ | FSPICK_NO_AUTOMOUNT_);
  if (fs < 0 || syscall(SYS_fsconfig, fs, SET_STRING, "size", size, 0) < 0 ||
      syscall(SYS_fsconfig, fs, RECONFIGURE, NULL, NULL, 0) < 0)
    return FAIL_ERRNO(e, "setting the size of the writable layer");
  return 0;
}

static int set_limits(const struct agent_guest *guest, const struct frame *f, struct error *e) {
  int64_t memory, pids, cpu, disk, tmp, shm;
  if (frame_int(f, K_MEMORY_BYTES, 0, 0, INT64_MAX, &memory, e) < 0 ||
      frame_int(f, K_PIDS_MAX, 0, 0, INT32_MAX, &pids, e) < 0 ||
      frame_int(f, K_CPU_MILLIS, 0, 0, INT32_MAX, &cpu, e) < 0 ||
      frame_int(f, K_DISK_BYTES, 0, 0, INT64_MAX, &disk, e) < 0 ||
      frame_int(f, K_TMP_BYTES, 0, 0, INT64_MAX, &tmp, e) < 0 ||
      frame_int(f, K_SHM_BYTES, 0, 0, INT64_MAX, &shm, e) < 0)
    return -1;
  if (limit_cgroup(guest->cgroup_fd, "memory.max", memory, e) < 0 ||
      limit_cgroup(guest->cgroup_fd, "pids.max", pids, e) < 0 ||
      limit_cgroup(guest->cgroup_fd, "cpu.max", cpu, e) < 0)
    return -1;
  if (limit_mount("/tmp", MS_NOSUID | MS_NODEV, tmp, e) < 0 ||
      limit_mount("/dev/shm", MS_NOSUID | MS_NODEV, shm, e) < 0)
    return -1;
  return limit_disk(guest->disk_fd, disk, e);
}

static void send_done(struct request *r) {
  struct frame_writer w = request_frame(r, F_DONE);
  request_send(r, &w);
  request_end(r);
}

static int on_answer(struct runtime_call *call, const struct frame *f, struct error *e) {
  struct identity_request *i = CONTAINER(call, struct identity_request, call);
  if (f->type != F_RESEEDED) return FAIL(e, ERR_INVALID, "frame 0x%02x answers RESEED", f->type);
  session_reseed(&i->request.agent->session);
  send_done(&i->request);
  return 0;
}

static void on_lost(struct runtime_call *call, const struct error *reason) {
  request_fail(&CONTAINER(call, struct identity_request, call)->request, reason);
}

static void on_release(struct request *r) {
  struct identity_request *i = CONTAINER(r, struct identity_request, request);
  runtime_forget(&i->call);
  free(i);
}

static const struct request_type identity_type = {.abandon = request_end, .release = on_release};

int identity_take(struct connection *c, const struct frame *f, struct error *e) {
  struct runtime *rt = &c->agent->runtime;
  if (!c->agent->guest) return FAIL(e, ERR_UNSUPPORTED, "this is no virtual machine of forkd");
  if (add_entropy(f, e) < 0 || set_clock(f, e) < 0 || set_names(f, e) < 0 ||
      set_limits(c->agent->guest, f, e) < 0)
    return -1;
  bool has_runtime = rt->state != RUNTIME_NONE;
  if (has_runtime && runtime_check(rt, e) < 0) return -1;
  struct identity_request *i = calloc(1, sizeof *i);
  if (!i) return FAIL(e, ERR_EXHAUSTED, "out of memory for a request");
  i->call = (struct runtime_call){
      .answer = on_answer, .lost = on_lost, .id = runtime_next_id(rt)};
  struct frame_writer w = frame_begin(&i->call.frame, F_RESEED, i->call.id);
  if (frame_end(&w, e) < 0) {
    runtime_forget(&i->call);
    free(i);
    return -1;
  }
  request_open(&i->request, &identity_type, c, f->id);
  if (has_runtime) runtime_submit(rt, &i->call);
  else send_done(&i->request);
  return 0;
}
