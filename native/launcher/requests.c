#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "launcher.h"

enum { NAMES_MAX = SANDBOXES_MAX, REPORT_MAX = 2048 };

static int check_instance(const char *instance, struct error *e) {
  size_t n = strlen(instance);
  if (n >= 1 && n <= 32 && strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789") == n) return 0;
  return FAIL(e, ERR_INVALID, "instance must be 1 to 32 of a-z 0-9");
}

// Of a launcher that was killed: its sandboxes died with it.
static void remove_stale_sockets(int run_dir) {
  int copy = openat(run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (!dir) return;
  struct dirent *entry;
  while ((entry = readdir(dir))) {
    const char *suffix = strrchr(entry->d_name, '.');
    if (suffix && strcmp(suffix, ".agent") == 0) unlinkat(run_dir, entry->d_name, 0);
  }
  closedir(dir);
}

// Sockets are named relative to the working directory: their whole path may exceed 107 bytes.
static int enter_run_dir(struct launcher *l, const char *path, struct error *e) {
  struct stat st;
  if (check_path("run_dir", path, e) < 0) return -1;
  l->run_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (l->run_dir_fd < 0 || fstat(l->run_dir_fd, &st) < 0)
    return FAIL_ERRNO(e, "opening run_dir %s", path);
  if (st.st_uid != geteuid() || (st.st_mode & 077))
    return FAIL(e, ERR_DENIED, "run_dir %s must be owned by the launcher's user, mode 0700", path);
  if (fchdir(l->run_dir_fd) < 0) return FAIL_ERRNO(e, "chdir %s", path);
  remove_stale_sockets(l->run_dir_fd);
  deltas_sweep(l->run_dir_fd);
  l->run_dir = strdup(path);
  return l->run_dir ? 0 : FAIL(e, ERR_EXHAUSTED, "out of memory");
}

static int hello(struct launcher *l, const struct frame *f, struct error *e) {
  int64_t version;
  cleanup_free char *run_dir = NULL, *instance = NULL;
  char report[REPORT_MAX];
  if (l->run_dir) return FAIL(e, ERR_INVALID, "HELLO was said already");
  if (frame_int(f, K_VERSION, 0, 0, INT32_MAX, &version, e) < 0) return -1;
  if (version != PROTOCOL_VERSION)
    return FAIL(e, ERR_UNSUPPORTED, "this launcher speaks protocol %d, not %lld", PROTOCOL_VERSION,
                (long long)version);
  if (required_text(f, K_RUN_DIR, "run_dir", &run_dir, e) < 0) return -1;
  if (required_text(f, K_INSTANCE, "instance", &instance, e) < 0) return -1;
  if (check_instance(instance, e) < 0 || enter_run_dir(l, run_dir, e) < 0) return -1;
  if (adopt_prepare(l, f, e) < 0) return -1;
  cgroups_open(&l->cgroups, instance);
  probe_report(l, report, sizeof report);
  struct frame_writer w = frame_begin(&l->daemon.output, L_WELCOME, f->id);
  put_int(&w, K_VERSION, PROTOCOL_VERSION);
  put_text(&w, K_REPORT, report);
  return frame_end(&w, e);
}

static int begin_template(struct launcher *l, const struct frame *f, struct error *e) {
  struct template_spec spec;
  if (template_spec_parse(f, &spec, e) == 0 && template_create(l, f, &spec, e) == 0) return 0;
  template_spec_free(&spec);
  return -1;
}

static int begin_fork(struct launcher *l, const struct frame *f, struct error *e) {
  struct fork_spec spec;
  if (fork_spec_parse(f, &spec, e) == 0 && fork_batch(l, f->id, &spec, e) == 0) return 0;
  fork_spec_free(&spec);
  return -1;
}

static int begin_discard(struct launcher *l, const struct frame *f, struct error *e) {
  cleanup_free char *name = NULL;
  if (required_text(f, K_NAME, "name", &name, e) < 0) return -1;
  struct template *t = template_find(l, name);
  if (!t) {
    reply_empty(l, f->id, F_DONE); // as it is wanted
    return 0;
  }
  if (t->discard_count == DISCARDS_MAX)
    return FAIL(e, ERR_EXHAUSTED, "%s is discarded already", name);
  t->discards[t->discard_count++] = f->id;
  template_end(t, NULL);
  return 0;
}

static int begin_destroy(struct launcher *l, const struct frame *f, struct error *e) {
  cleanup_text_list char **names = NULL;
  if (frame_texts(f, K_NAME, NAMES_MAX, &names, e) < 0) return -1;
  return destroy_begin(l, f->id, names, e);
}

static int set_limit(struct launcher *l, const struct frame *f, struct error *e) {
  cleanup_free char *name = NULL;
  struct limits limits;
  if (required_text(f, K_NAME, "name", &name, e) < 0 || limits_parse(f, &limits, e) < 0) return -1;
  struct sandbox *s = sandbox_find(l, name);
  if (!s || s->state != S_LIVE) return FAIL(e, ERR_NOT_FOUND, "no sandbox %.64s", name);
  if (cgroup_limit(&l->cgroups, &s->cgroup, &limits, s->pid, e) < 0) return -1;
  reply_empty(l, f->id, F_DONE);
  return 0;
}

// A program that the kernel killed for want of memory looks like any SIGKILL to its parent.
static int tell_usage(struct launcher *l, const struct frame *f, struct error *e) {
  cleanup_free char *name = NULL;
  if (required_text(f, K_NAME, "name", &name, e) < 0) return -1;
  struct sandbox *s = sandbox_find(l, name);
  if (!s || s->state != S_LIVE) return FAIL(e, ERR_NOT_FOUND, "no sandbox %.64s", name);
  struct frame_writer w = frame_begin(&l->daemon.output, L_USED, f->id);
  put_int(&w, K_OOM_KILLS, cgroup_oom_kills(&l->cgroups, &s->cgroup));
  return frame_end(&w, e);
}

void serve_request(struct launcher *l, const struct frame *f) {
  struct error e;
  int done;
  if (!l->run_dir && f->type != L_HELLO) {
    l->stopping = true; // not a daemon of ours
    return;
  }
  if (l->orphan_until >= 0 && f->type != L_ADOPT && f->type != L_STOP) {
    daemon_gone(l); // not before it has been let in
    return;
  }
  cgroups_retry(&l->cgroups);
  switch (f->type) {
    case L_HELLO: done = hello(l, f, &e); break;
    case L_TEMPLATE: done = begin_template(l, f, &e); break;
    case L_DISCARD: done = begin_discard(l, f, &e); break;
    case L_FORK: done = begin_fork(l, f, &e); break;
    case L_DESTROY: done = begin_destroy(l, f, &e); break;
    case L_LIMIT: done = set_limit(l, f, &e); break;
    case L_USAGE: done = tell_usage(l, f, &e); break;
    case L_BRANCH: done = branch_begin(l, f, &e); break;
    case L_ADOPT: done = adopt_begin(l, f, &e); break;
    case L_STOP: l->stopping = true; return;
    default:
      dprintf(2, "event=unknown_request type=0x%02x\n", f->type);
      l->stopping = true;
      return;
  }
  if (done < 0) reply_error(l, f->id, &e);
}
