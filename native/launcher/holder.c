// The holder prepares, with the host's privilege, what a user namespace is not allowed to: mounts
// of the image, device nodes, a first proc and sysfs (the kernel lets a user namespace mount these
// only where one is visible in full). Then it leaves that privilege behind for good.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/cleanup.h"
#include "../common/devices.h"
#include "family.h"
#include "cgroup.h"
#include "masks.h"
#include "setup.h"
#include "split.h"
#include "userns.h"

_Noreturn void holder_exec(int exe, const int *fds, size_t count) {
  struct error e; // nobody to tell: the launcher sees the end of the channel
  int all[HOLDER_ENTRIES + C_COUNT + 1];
  char name[] = HOLDER_NAME;
  sigset_t none;
  memcpy(all, fds, count * sizeof *fds);
  all[count] = exe;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  if (null_stdio(&e) < 0 || keep_only(all, count + 1, &e) < 0) _exit(1);
  for (size_t i = 0; i < count; i++) fcntl(all[i], F_SETFD, 0);
  // By descriptor: /proc may be of a pid namespace that does not show this process.
  fexecve(all[count], (char *[]){name, NULL}, (char *[]){NULL});
  _exit(1);
}

static int read_spec(struct family *f, const struct frame *frame, struct error *e) {
  int64_t entries;
  if (template_spec_parse(frame, &f->spec, e) < 0) return -1;
  if (required_text(frame, K_RUN_DIR, "run_dir", &f->scratch, e) < 0) return -1;
  if (frame_int(frame, K_FDS, 0, 0, C_COUNT, &entries, e) < 0) return -1;
  f->entry_count = (size_t)entries;
  for (size_t i = 0; i < f->entry_count; i++) f->entries[i] = HOLDER_ENTRIES + (int)i;
  return 0;
}

static int receive_spec(struct family *f, struct error *e) {
  struct channel c;
  struct frame frame;
  int state;
  if (channel_open(&c, f->channel, f->channel, e) < 0) return -1;
  while ((state = channel_frame(&c, &frame, e)) == 0) {
    struct pollfd wait = {.fd = c.in, .events = POLLIN};
    poll(&wait, 1, -1); // the launcher sends it at once; its end is readable, too
    if (channel_read(&c, e) < 0) return -1;
  }
  if (state == 1) state = read_spec(f, &frame, e);
  // Not channel_close: the warden goes on with the descriptor.
  buffer_free(&c.input);
  return state;
}

void family_fail(struct family *f, const struct error *why) {
  struct error ignored; // the launcher is gone, or sees the end of this process instead
  struct channel c;
  cleanup_buffer struct buffer frame = {0};
  struct frame_writer w = frame_begin(&frame, F_ERROR, 0);
  put_text(&w, K_KIND, error_kind_name(why->kind));
  put_text(&w, K_MESSAGE, why->message);
  if (frame_end(&w, &ignored) == 0 && channel_open(&c, f->channel, f->channel, &ignored) == 0)
    channel_send_with_fds(&c, &frame, NULL, 0, 1000, &ignored);
}

static int make_devices(const struct family *f, struct error *e) {
  uid_t owner = f->spec.ids.first;
  cleanup_fd int dev = open("dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dev < 0) return FAIL_ERRNO(e, "opening dev");
  int made = f->spec.ids.count == 1 ? devices_bind(dev, e) : devices_make(dev, owner, e);
  if (made < 0) return -1;
  if (mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 0755) < 0)
    return FAIL_ERRNO(e, "mkdir dev/pts, dev/shm");
  return fchown(dev, owner, owner) < 0 ? FAIL_ERRNO(e, "chown dev") : 0;
}

// A read-only view of a directory on itself: one mount that every sandbox binds, without a copy.
static int freeze(const char *path, unsigned long flags, struct error *e) {
  if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0) return FAIL_ERRNO(e, "binding %s", path);
  flags |= MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID;
  return mount(NULL, path, NULL, flags, NULL) < 0 ? FAIL_ERRNO(e, "freezing %s", path) : 0;
}

static int make_directories(struct error *e) {
  static const char *const names[] = {"dev", "proc", "sys", "python", "m", "t", "s", "e"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (mkdir(names[i], 0755) < 0) return FAIL_ERRNO(e, "mkdir %s", names[i]);
  return 0;
}

static int build_tree(struct family *f, struct error *e) {
  const unsigned long bare = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (make_directories(e) < 0 || layers_attach(f, e) < 0 || skeleton_build(f, e) < 0 ||
      tree_copy(f, f->spec.runtime_dir, "python", e) < 0 || freeze("python", MS_NODEV, e) < 0 ||
      make_devices(f, e) < 0 || freeze("dev", MS_NOEXEC, e) < 0 ||
      freeze("e", MS_NODEV | MS_NOEXEC, e) < 0)
    return -1;
  if (mount("proc", "proc", "proc", bare, NULL) < 0) return FAIL_ERRNO(e, "mounting proc");
  if (mount("sysfs", "sys", "sysfs", bare | MS_RDONLY, NULL) < 0)
    return FAIL_ERRNO(e, "mounting sysfs");
  masks_find(f);
  split_stack(f);
  return 0;
}

static int enter_scratch(struct family *f, struct error *e) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return FAIL_ERRNO(e, "making mounts private");
  // Device nodes work only in a file system that is mounted without nodev by the host's root.
  if (mount("tmpfs", f->scratch, "tmpfs", MS_NOSUID, "mode=755") < 0)
    return FAIL_ERRNO(e, "mounting a tmpfs on %s", f->scratch);
  return chdir(f->scratch) < 0 ? FAIL_ERRNO(e, "chdir %s", f->scratch) : 0;
}

static int pivot(struct error *e) {
  // With both arguments "." the old root is stacked on the new one and can be detached at once.
  if (sys_pivot_root(".", ".") < 0) return FAIL_ERRNO(e, "pivot_root of the holder");
  if (umount2(".", MNT_DETACH) < 0) return FAIL_ERRNO(e, "detaching the host's root");
  return chdir("/") < 0 ? FAIL_ERRNO(e, "chdir /") : 0;
}

static int become_root(const struct family *f, struct error *e) {
  // Where an ordinary user made the namespace, the kernel refuses setgroups: see userns_enter.
  if (f->spec.ids.count > 1 && setgroups(0, NULL) < 0) return FAIL_ERRNO(e, "leaving all groups");
  if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    return FAIL_ERRNO(e, "becoming root of the user namespace");
  return 0;
}

// Root of U, from where the id map of a namespace below it can be written.
static _Noreturn void write_map(const struct family *f, pid_t holder, int note) {
  struct error e;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bool done = note_wait(note, NOTE_MAP_ME, &e) == 0 && userns_map(holder, ids_within(f), &e) == 0;
  note_send(note, done ? NOTE_MAPPED : NOTE_FAILED, done ? NULL : &e);
  _exit(0);
}

// A branch has memory that a sandbox chose. Its root must be nobody in the user namespace of the
// template that the sandbox came from.
static int nest_userns(const struct family *f, struct error *e) {
  int pair[2];
  pid_t self = getpid();
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return FAIL_ERRNO(e, "a socket pair for an id map");
  pid_t mapper = sys_clone(0, NULL);
  if (mapper == 0) write_map(f, self, pair[1]);
  close(pair[1]);
  cleanup_fd int note = pair[0];
  if (mapper < 0) return FAIL_ERRNO(e, "cloning the writer of an id map");
  if (unshare(CLONE_NEWUSER) < 0) return FAIL_ERRNO(e, "unsharing the user namespace");
  prctl(PR_SET_DUMPABLE, 1); // else its uid_map belongs to the host's root
  if (note_send(note, NOTE_MAP_ME, NULL) < 0) return FAIL_ERRNO(e, "asking for an id map");
  int done = note_wait(note, NOTE_MAPPED, e);
  while (waitpid(mapper, NULL, 0) < 0 && errno == EINTR) {
  }
  if (done == 0) done = become_root(f, e);
  prctl(PR_SET_DUMPABLE, 0);
  return done;
}

static int drop_into_userns(struct family *f, struct error *e) {
  if (setns(f->userns, CLONE_NEWUSER) < 0) return FAIL_ERRNO(e, "joining the user namespace");
  if (become_root(f, e) < 0 || (f->spec.deltas[0] && nest_userns(f, e) < 0)) return -1;
  close(f->userns);
  f->userns = -1;
  int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (unshare(flags) < 0) return FAIL_ERRNO(e, "unsharing namespaces");
  // A change of credentials clears it, and leaves this process undumpable, so that the zygote
  // cannot look into the warden; but an ordinary user's root has the same id as before.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 0);
  return 0;
}

static int prepare(struct family *f, struct error *e) {
  sys_name("forkd-holder");
  umask(0022);
  if (receive_spec(f, e) < 0) return -1;
  filter_build(&f->zygote_filter, &(struct filter_choice){true, f->spec.syscalls});
  filter_build(&f->sandbox_filter, &(struct filter_choice){false, f->spec.syscalls});
  if (deltas_open(f, e) < 0 || enter_scratch(f, e) < 0 ||
      build_tree(f, e) < 0)
    return -1;
  return pivot(e) < 0 ? -1 : drop_into_userns(f, e);
}

_Noreturn void holder_main(void) {
  static struct family family = {.userns = HOLDER_USERNS,
                                 .channel = HOLDER_CHANNEL,
                                 .zygote = HOLDER_ZYGOTE,
                                 .log = HOLDER_LOG};
  struct family *f = &family;
  struct error e;
  int status;
  pid_t warden = -1;
  if (prepare(f, &e) == 0) {
    warden = sys_clone(CLONE_NEWPID, NULL);
    if (warden < 0) FAIL_ERRNO(&e, "cloning the warden");
  }
  if (warden < 0) {
    family_fail(f, &e);
    _exit(1);
  }
  if (warden == 0) warden_main(f);
  // The launcher must see its channels end with the warden, not with this process.
  sys_close_from(3);
  while (waitpid(warden, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
