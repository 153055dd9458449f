// State of the launcher: templates, their sandboxes, and the requests that wait for them.
//
// Nothing is freed in the middle of an event: events only change states, and tick() afterwards
// takes every object one step further. So no handler can be left with a dangling pointer.
#pragma once
#include "../common/channel.h"
#include "branch.h"
#include "warm_files.h"
#include "cgroup.h"
#include "protocol.h"
#include "../common/seccomp.h"
#include "spec.h"

enum {
  TEMPLATES_MAX = 64,
  SANDBOXES_MAX = 4096,
  DISCARDS_MAX = 8,
  TAIL_MAX = 16384,     // of a template's output, kept for error messages
  LOG_MAX = 1048576,    // of a template's output, passed on
  CREATING_MAX = 16,    // agents in the making at once, on a large machine
  ESCALATE_MS = 5000,   // an end that is not in progress for so long is enforced one level higher
  LOST_TOLD_AFTER_MS = 30,
  BUSY_RETRY_MS = 2,    // of a control group that has a dying process in it
  BUSY_GIVE_UP_MS = 10000,
  ADOPT_GRACE_MAX_MS = 86400000,
};

enum sandbox_state {
  S_QUEUED,   // of a batch, nothing exists yet
  S_CREATING, // the warden makes its agent
  S_CREATED,  // the zygote has not been told yet
  S_ENTERING, // the zygote forks
  S_LIVE,
  S_ENDING,   // killed or dead: waits until the kernel and the zygote have let go of it
  S_REMOVING, // its control groups and its socket go
  S_GONE,
};

// How a process ended; at most one is not -1.
struct ending {
  int exit_code, signal;
};

struct sandbox {
  struct sandbox *next;
  struct template *template;
  struct batch *batch; // until it is answered
  size_t index;        // in the batch
  enum sandbox_state state;
  uint32_t serial;
  char name[NAME_MAX_LENGTH + 1];
  char hostname[64], machine_id[33];
  int pidfd, runtime_fd;
  int upper;           // directory that holds its writable layer, u
  int entries[C_COUNT];
  size_t entry_count;
  pid_t pid, runtime_pid;
  pid_t inner_pid;     // of the runtime in the template's pid namespace
  bool agent_alive;   // cloned by the warden (or about to be) and not reaped
  bool zygote_owes;   // an answer to ENTER, or LEFT
  bool runtime_lost;  // to be told at the deadline, not before the batch is answered
  bool asked;         // the daemon wants it gone: no event
  bool has_socket;
  struct ending agent_end, runtime_end;
  struct cgroup cgroup;
  int64_t oom_kills, deadline;
  int escalation;
  struct error failure; // message empty = none
};

struct outcome {
  pid_t pid, runtime_pid;
  struct error failure;
};

struct batch {
  struct batch *next;
  uint32_t request;
  struct template *template;
  struct fork_spec spec;
  struct outcome *outcomes;
  size_t pending;
  int64_t deadline;
};

enum template_state {
  T_COPYING,  // of a branch: its files are copied, no process of it exists yet
  T_BUILDING, // holder and warden prepare
  T_WARMING,  // the interpreter runs, WARM is not answered
  T_FREEZING, // it is warm; what it has written becomes a layer of its sandboxes
  T_READY,
  T_BARREN,   // the zygote is dead: no more forks, but the sandboxes live on
  T_ENDING,   // the holder was killed, or died
  T_REMOVING,
  T_GONE,
};

struct template {
  struct template *next;
  enum template_state state;
  struct template_spec spec;
  struct branch *branch;      // NULL: warmed from an image
  struct warm_files *warm;    // NULL: a branch, or without a runtime
  struct job job;             // one at a time
  struct buffer request_copy; // L_TEMPLATE, for its branches
  uint32_t request; // L_TEMPLATE, until it is answered (then 0)
  uint32_t discards[DISCARDS_MAX];
  size_t discard_count;
  int64_t deadline;
  int64_t progress; // when a sandbox last came nearer to its end
  int holder, zygote, pid_namespace, userns, log; // pidfds, namespaces, a pipe
  int upper; // directory that holds the zygote's writable layer, u
  bool holder_alive, zygote_alive, end_told;
  size_t seeds_owed; // answers to SEED that its zygote has not given
  struct channel warden, zygote_channel;
  pid_t zygote_pid;
  struct ending end;
  struct cgroup cgroup;
  int64_t oom_kills;
  struct sandbox *sandboxes;
  struct batch *batches;
  struct error failure;
  char *traceback;
  size_t logged, tail_length;
  char tail[TAIL_MAX];
};

struct destroy {
  struct destroy *next;
  uint32_t request;
  uint32_t *serials;
  size_t count;
};

struct launcher {
  struct channel daemon;
  int signals, run_dir_fd, exe;
  int listener;         // for the next daemon; -1: nothing outlives this one
  int64_t grace_ms;     // without a daemon, 0: none
  int64_t orphan_until; // when to end without a daemon; -1: there is one
  char *build;          // of the daemon that started this; another one is refused
  char *run_dir;
  bool stopping;
  struct cgroups cgroups;
  struct template *templates;
  struct destroy *destroys;
  uint32_t last_serial;
  unsigned last_delta;
  size_t creating_max; // agents in the making at once: more than the cores only delays the first
  struct filter child_filter;
};

// replies.c. Frames to the daemon; one that cannot be queued stops the launcher.
void reply_error(struct launcher *l, uint32_t id, const struct error *why);
void reply_empty(struct launcher *l, uint32_t id, uint8_t type);
void reply_log(struct launcher *l, uint32_t id, const void *bytes, size_t n);
void reply_template_ready(struct launcher *l, const struct template *t, const struct frame *warmed);
void reply_template_failed(struct launcher *l, const struct template *t);
void reply_forked(struct launcher *l, const struct batch *b);
void tell_sandbox_ended(struct launcher *l, const struct sandbox *s);
void tell_runtime_lost(struct launcher *l, struct sandbox *s);
void tell_template_ended(struct launcher *l, const struct template *t);

// requests.c
void serve_request(struct launcher *l, const struct frame *f);

// template.c
struct template *template_find(struct launcher *l, const char *name);
// Takes the spec. A failure after that is answered when what was made is gone again.
int template_create(struct launcher *l, const struct frame *request, struct template_spec *spec,
                    struct error *e);
// As above, without starting anything; takes the spec and the branch. The newest is the first.
int template_add(struct launcher *l, uint32_t request, struct template_spec *spec,
                 struct branch *branch, struct error *e);
// Starts the processes of a template that was added, with the request that its holder is to get.
int template_start(struct launcher *l, struct template *t, const struct frame *request,
                   struct error *e);
// Kills the family; `why` (NULL: as asked) is what its open requests are told.
void template_end(struct template *t, const struct error *why);
void template_tick(struct launcher *l, struct template *t, int64_t now);
// Its job has something to say.
void template_job(struct launcher *l, struct template *t);
// Starts a job in the template's control groups; `plan` must live until it has been taken.
int template_start_job(struct launcher *l, struct template *t, job_work *work, const void *plan,
                       struct error *e);
void template_free(struct template *t);

// family_events.c: what a template's channels say.
void hear_log(struct launcher *l, struct template *t);
void hear_zygote(struct launcher *l, struct template *t);
void hear_warden(struct launcher *l, struct template *t);
void hear_holder(struct launcher *l, struct template *t);
// It can be forked now: answers the request with what the zygote has said.
void template_ready(struct launcher *l, struct template *t, const struct frame *warmed);
// Whether the kernel has killed something of it for want of memory; then `why` says so.
bool template_starved(struct launcher *l, const struct template *t, struct error *why);
// Its interpreter has ended: no more forks.
void template_barren(struct launcher *l, struct template *t);

// fork.c
struct sandbox *sandbox_find(struct launcher *l, const char *name);
struct sandbox *sandbox_of_serial(struct template *t, uint32_t serial);
int fork_batch(struct launcher *l, uint32_t request, struct fork_spec *spec, struct error *e);
// Starts and enters what can be started and entered now.
void fork_pump(struct launcher *l, struct template *t);
// For a template whose argv is empty: the agent is all there is to it.
void sandbox_without_runtime(struct sandbox *s);
void batch_tick(struct launcher *l, struct template *t, int64_t now);

// ending.c
void sandbox_end(struct sandbox *s, const struct error *why);
void sandbox_tick(struct launcher *l, struct sandbox *s, int64_t now);
void sandbox_free(struct sandbox *s);
int destroy_begin(struct launcher *l, uint32_t request, char **names, struct error *e);
void destroy_forget(struct launcher *l, uint32_t serial);
// Milliseconds until something must be looked at again; -1: nothing.
int next_wake(const struct launcher *l, int64_t now);

// adopt.c: from one daemon to the next.
#define ADOPT_SOCKET "launcher.sock"
// Reads from L_HELLO whether to outlive the daemon.
int adopt_prepare(struct launcher *l, const struct frame *hello, struct error *e);
// The daemon does not listen any more.
void daemon_gone(struct launcher *l);
void adopt_accept(struct launcher *l);
// L_ADOPT: checks, and answers with all that can be taken over.
int adopt_begin(struct launcher *l, const struct frame *f, struct error *e);
void adopt_tick(struct launcher *l, int64_t now);

// probe.c: what this kernel can do, as JSON for L_WELCOME.
void probe_report(const struct launcher *l, char *json, size_t size);
