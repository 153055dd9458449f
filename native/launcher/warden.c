// The warden: PID 1 of a template's pid namespace, root of user namespace U only. It clones agents
// when the launcher asks, writes their id maps, and reaps. It keeps no clock: the launcher does.
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/cleanup.h"
#include "family.h"
#include "protocol.h"
#include "setup.h"
#include "userns.h"

enum { POLL_MAX = 64, SEND_TIMEOUT_MS = 10000 };

struct agent {
  struct agent *next;
  uint32_t serial;
  pid_t pid;
  int pidfd; // until the launcher has it
  int note;  // until it is ready
  bool created;
  struct error failure; // told by the agent; message empty = none
};

struct warden {
  struct family *family;
  struct channel launcher;
  int signals;
  pid_t zygote;
  int zygote_note, zygote_pidfd, zygote_upper; // until the interpreter is executed
  struct error zygote_failure;
  struct agent *agents;
};

// The warden serves one launcher; without it there is nothing to live for. As PID 1 it takes
// everything below with it.
static _Noreturn void give_up(void) { _exit(1); }

static void send_frame(struct warden *w, const struct buffer *frame, const int *fds, size_t n) {
  struct error e;
  if (channel_send_with_fds(&w->launcher, frame, fds, n, SEND_TIMEOUT_MS, &e) < 0) give_up();
}

static void tell(struct warden *w, enum warden_frame type, uint32_t serial, const int *fds,
                 size_t n) {
  struct error e;
  cleanup_buffer struct buffer frame = {0};
  struct frame_writer writer = frame_begin(&frame, type, serial);
  if (frame_end(&writer, &e) < 0) give_up();
  send_frame(w, &frame, fds, n);
}

static void tell_status(struct warden *w, enum warden_frame type, uint32_t serial, int status) {
  struct error e;
  cleanup_buffer struct buffer frame = {0};
  struct frame_writer writer = frame_begin(&frame, type, serial);
  if (WIFEXITED(status)) put_int(&writer, K_EXIT_CODE, WEXITSTATUS(status));
  else put_int(&writer, K_SIGNAL, WTERMSIG(status));
  if (frame_end(&writer, &e) < 0) give_up();
  send_frame(w, &frame, NULL, 0);
}

static void tell_failure(struct warden *w, uint8_t type, uint32_t serial, const struct error *why) {
  struct error e;
  cleanup_buffer struct buffer frame = {0};
  struct frame_writer writer = frame_begin(&frame, type, serial);
  put_text(&writer, K_KIND, error_kind_name(why->kind));
  put_text(&writer, K_MESSAGE, why->message);
  if (frame_end(&writer, &e) < 0) give_up();
  send_frame(w, &frame, NULL, 0);
}

static int open_notes(int pair[2], struct error *e) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) return 0;
  return FAIL_ERRNO(e, "a socket pair for a setup");
}

static int start_zygote(struct warden *w, struct error *e) {
  int pair[2];
  if (open_notes(pair, e) < 0) return -1;
  w->zygote = sys_clone(CLONE_NEWNS, &w->zygote_pidfd);
  if (w->zygote < 0) return FAIL_ERRNO(e, "cloning the zygote");
  if (w->zygote == 0) zygote_main(w->family, pair[1]);
  close(pair[1]);
  w->zygote_note = pair[0];
  // Only the interpreter may hold its channel and its output open: their end tells of its death.
  close(w->family->zygote);
  close(w->family->log);
  for (size_t i = 0; i < w->family->entry_count; i++) close(w->family->entries[i]);
  return 0;
}

// The end of the note socket means that exec closed it.
static void hear_zygote(struct warden *w) {
  struct setup_note message;
  cleanup_fd int upper = -1;
  ssize_t n = note_take(w->zygote_note, &message, &upper);
  if (n < 0 && errno == EAGAIN) return;
  if (n == sizeof message && message.note == NOTE_READY) {
    w->zygote_upper = steal_fd(&upper);
    return;
  }
  if (n == sizeof message && message.note == NOTE_FAILED) w->zygote_failure = message.error;
  else tell(w, W_STARTED, 0, (int[]){w->zygote_pidfd, w->zygote_upper}, 2);
  close(w->zygote_note);
  close(w->zygote_pidfd);
  if (w->zygote_upper >= 0) close(w->zygote_upper);
  w->zygote_note = w->zygote_pidfd = w->zygote_upper = -1;
}

static struct agent *find_agent(struct warden *w, uint32_t serial) {
  struct agent *a = w->agents;
  while (a && a->serial != serial) a = a->next;
  return a;
}

static int clone_agent(struct warden *w, struct agent *a, struct agent_plan *plan,
                       struct error *e) {
  const uint64_t flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  int pair[2];
  if (open_notes(pair, e) < 0) return -1;
  a->pid = sys_clone(flags, &a->pidfd);
  if (a->pid == 0) {
    plan->note = pair[1];
    close(pair[0]); // else it would not see the warden end
    sandbox_main(w->family, plan);
  }
  close(pair[1]);
  a->note = pair[0];
  if (a->pid < 0) {
    close(pair[0]);
    return FAIL_ERRNO(e, "cloning an agent");
  }
  return 0;
}

static int read_plan(struct warden *w, const struct frame *f, struct agent_plan *plan,
                     struct error *e) {
  char *hostname = NULL, *machine_id = NULL;
  int64_t fds;
  *plan = (struct agent_plan){.note = -1};
  plan->listener = channel_take_fd(&w->launcher);
  plan->runtime = channel_take_fd(&w->launcher);
  if (frame_int(f, K_FDS, 0, 2, 5, &fds, e) < 0) return -1;
  for (; fds > 2; fds--) plan->entries[plan->entry_count++] = channel_take_fd(&w->launcher);
  if (required_text(f, K_HOSTNAME, "hostname", &hostname, e) < 0) return -1;
  plan->root.hostname = hostname;
  if (required_text(f, K_MACHINE_ID, "machine_id", &machine_id, e) < 0) return -1;
  plan->root.machine_id = machine_id;
  return file_limits_parse(f, &plan->root.files, e);
}

static void free_plan(struct agent_plan *plan) {
  if (plan->listener >= 0) close(plan->listener);
  if (plan->runtime >= 0) close(plan->runtime);
  for (size_t i = 0; i < plan->entry_count; i++) close(plan->entries[i]);
  free((void *)(uintptr_t)plan->root.hostname);
  free((void *)(uintptr_t)plan->root.machine_id);
}

static void create(struct warden *w, const struct frame *f) {
  struct error e;
  struct agent_plan plan;
  struct agent *a = calloc(1, sizeof *a);
  if (!a) give_up();
  *a = (struct agent){.serial = f->id, .note = -1, .pidfd = -1};
  if (read_plan(w, f, &plan, &e) < 0 || clone_agent(w, a, &plan, &e) < 0) {
    tell_failure(w, W_FAILED, f->id, &e);
    free(a);
  } else {
    a->next = w->agents;
    w->agents = a;
  }
  free_plan(&plan);
}

static void drop_note(struct agent *a) {
  if (a->note >= 0) close(a->note);
  if (a->pidfd >= 0) close(a->pidfd);
  a->note = a->pidfd = -1;
}

static void hear_agent(struct warden *w, struct agent *a) {
  struct setup_note message;
  cleanup_fd int upper = -1;
  ssize_t n = note_take(a->note, &message, &upper);
  if (n < 0 && errno == EAGAIN) return;
  enum note_kind note = n == sizeof message ? message.note : NOTE_FAILED;
  if (note == NOTE_MAP_ME) {
    if (userns_map(a->pid, ids_within(w->family), &a->failure) == 0 &&
        note_send(a->note, NOTE_MAPPED, NULL) == 0)
      return;
    sys_pidfd_kill(a->pidfd, SIGKILL);
  } else if (note == NOTE_READY) {
    a->created = true;
    tell(w, W_CREATED, a->serial, (int[]){a->pidfd, upper}, 2);
  } else if (n == sizeof message) {
    a->failure = message.error;
  }
  drop_note(a);
}

static void end_agent(struct warden *w, struct agent *a, int status) {
  if (a->note >= 0) hear_agent(w, a); // its last words are in the socket still
  if (a->created) {
    tell_status(w, W_ENDED, a->serial, status);
  } else {
    if (!a->failure.message[0])
      FAIL(&a->failure, ERR_INTERNAL, "the agent ended while it was set up (wait status 0x%x)",
           status);
    tell_failure(w, W_FAILED, a->serial, &a->failure);
  }
  struct agent **at = &w->agents;
  while (*at != a) at = &(*at)->next;
  *at = a->next;
  drop_note(a);
  free(a);
}

static void end_zygote(struct warden *w, int status) {
  while (w->zygote_note >= 0) hear_zygote(w); // its last words; it is dead, so they end
  if (w->zygote_failure.message[0]) {
    tell_failure(w, F_ERROR, 0, &w->zygote_failure);
    give_up();
  }
  w->zygote = -1;
  tell_status(w, W_ZYGOTE_ENDED, 0, status);
}

static void reap(struct warden *w) {
  struct signalfd_siginfo ignored;
  int status;
  pid_t pid;
  while (read(w->signals, &ignored, sizeof ignored) > 0) {
  }
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    struct agent *a = w->agents;
    while (a && a->pid != pid) a = a->next;
    if (a) end_agent(w, a, status);
    else if (pid == w->zygote) end_zygote(w, status);
    else if (w->zygote < 0) tell_status(w, W_ORPHAN_ENDED, (uint32_t)pid, status);
  }
}

static void serve_launcher(struct warden *w) {
  struct error e;
  struct frame f;
  int state;
  if (channel_read(&w->launcher, &e) < 0) give_up();
  while ((state = channel_frame(&w->launcher, &f, &e)) == 1) {
    struct agent *a = find_agent(w, f.id);
    if (f.type == W_CREATE) create(w, &f);
    else if (f.type == W_ABORT && a && !a->created) sys_pidfd_kill(a->pidfd, SIGKILL);
    channel_done(&w->launcher, &f);
  }
  if (state < 0) give_up();
}

static void wait_and_serve(struct warden *w) {
  struct pollfd fds[POLL_MAX] = {{.fd = w->launcher.in, .events = POLLIN},
                                 {.fd = w->signals, .events = POLLIN},
                                 {.fd = w->zygote_note, .events = POLLIN}};
  struct agent *waiting[POLL_MAX];
  nfds_t n = 3;
  for (struct agent *a = w->agents; a && n < POLL_MAX; a = a->next) {
    if (a->note < 0) continue;
    waiting[n] = a;
    fds[n++] = (struct pollfd){.fd = a->note, .events = POLLIN};
  }
  if (poll(fds, n, -1) < 0) {
    if (errno == EINTR) return;
    give_up();
  }
  // Agents first: reaping frees them.
  for (nfds_t i = 3; i < n; i++)
    if (fds[i].revents) hear_agent(w, waiting[i]);
  if (fds[2].revents) hear_zygote(w);
  if (fds[1].revents) reap(w);
  if (fds[0].revents) serve_launcher(w);
}

static int prepare(struct warden *w, struct error *e) {
  // Over the holder's: id maps are written to /proc/PID of this pid namespace.
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    return FAIL_ERRNO(e, "mounting the template's proc");
  const char *hostname = w->family->spec.hostname;
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  w->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (w->signals < 0) return FAIL_ERRNO(e, "signalfd");
  if (channel_open(&w->launcher, w->family->channel, w->family->channel, e) < 0) return -1;
  if (loopback_up(e) < 0) return -1;
  if (sethostname(hostname, strlen(hostname)) < 0) return FAIL_ERRNO(e, "sethostname");
  return start_zygote(w, e);
}

_Noreturn void warden_main(struct family *f) {
  struct error e;
  struct warden w = {.family = f, .signals = -1,
                     .zygote_note = -1, .zygote_pidfd = -1, .zygote_upper = -1};
  sys_name("forkd-warden");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (prepare(&w, &e) < 0) {
    family_fail(f, &e);
    give_up();
  }
  for (;;) wait_and_serve(&w);
}
