// EXEC: a new process, forked by the agent.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "process.h"
#include "spawn.h"
#include "state.h"

enum { TEXTS_MAX = 65536 };

static void command_free(struct command *c) {
  text_list_free(&c->argv);
  text_list_free(&c->env);
  free((void *)c->cwd);
}
#define cleanup_command __attribute__((cleanup(command_free)))

static int check_env(char **env, struct error *e) {
  for (; *env; env++) {
    const char *equals = strchr(*env, '=');
    if (!equals || equals == *env)
      return FAIL(e, ERR_INVALID, "an environment entry is not K=V: %.100s", *env);
  }
  return 0;
}

// A list that never was on the wire, copied so that it has the same owner as one that was.
static int copy_list(const char *const *from, char ***out, struct error *e) {
  size_t n = 0;
  while (from && from[n]) n++;
  char **copy = calloc(n + 1, sizeof *copy);
  for (size_t i = 0; copy && i < n; i++)
    if (!(copy[i] = strdup(from[i]))) text_list_free(&copy);
  *out = copy;
  return copy ? 0 : FAIL(e, ERR_EXHAUSTED, "out of memory for an environment");
}

// A connection has no command; its name is for messages.
static int parse_port(const struct frame *f, struct command *c, struct error *e) {
  int64_t port;
  if (frame_int(f, K_PORT, 0, 1, 65535, &port, e) < 0) return -1;
  c->port = (int)port;
  if (port == 0) return 0;
  if (c->argv[0]) return FAIL(e, ERR_INVALID, "a connection to a port has no argv");
  char name[16];
  snprintf(name, sizeof name, "port %d", c->port);
  text_list_free(&c->argv);
  return copy_list((const char *const[]){name, NULL}, &c->argv, e);
}

static int parse_command(struct agent *a, const struct frame *f, struct command *c,
                         struct error *e) {
  char *cwd = NULL;
  cleanup_free char *user = NULL;
  if (frame_texts(f, K_ARGV, TEXTS_MAX, &c->argv, e) < 0) return -1;
  if (parse_port(f, c, e) < 0) return -1;
  if (!c->argv[0] || !*c->argv[0]) return FAIL(e, ERR_INVALID, "argv names no command");
  if (frame_texts(f, K_ENV, TEXTS_MAX, &c->env, e) < 0) return -1;
  if (!c->env[0]) {
    text_list_free(&c->env);
    if (copy_list(a->default_env, &c->env, e) < 0) return -1;
  }
  if (check_env(c->env, e) < 0 || frame_text(f, K_CWD, &cwd, e) < 0) return -1;
  c->cwd = cwd ? cwd : strdup("/");
  if (!c->cwd) return FAIL(e, ERR_EXHAUSTED, "out of memory for a path");
  if (*c->cwd != '/') return FAIL(e, ERR_INVALID, "cwd %s is not an absolute path", c->cwd);
  if (frame_text(f, K_USER, &user, e) < 0) return -1;
  return identity_resolve(user, &c->identity, e);
}

static int start(struct process *p, const struct command *command, const int theirs[3],
                 struct error *e) {
  p->name = strdup(command->argv[0]);
  p->cwd = strdup(command->cwd);
  if (!p->name || !p->cwd) return FAIL(e, ERR_EXHAUSTED, "out of memory for a command");
  return spawn_command(command, theirs, &p->pid, &p->report.fd, e);
}

int process_exec(struct connection *c, const struct frame *f, struct error *e) {
  cleanup_command struct command command = {0};
  cleanup_fd int in = -1, out = -1, err = -1;
  int theirs[3] = {-1, -1, -1};
  int64_t timeout_ms;
  if (parse_command(c->agent, f, &command, e) < 0) return -1;
  if (frame_int(f, K_TIMEOUT_MS, 0, 0, TIMEOUT_MAX_MS, &timeout_ms, e) < 0) return -1;
  struct process *p = process_prepare(c, f, theirs, e);
  in = theirs[0];
  out = theirs[1];
  err = theirs[2];
  if (!p) return -1;
  command.terminal = p->terminal;
  // As login does, so that the user can open the terminal by its name as well.
  if (p->terminal && command.identity.change &&
      fchown(in, command.identity.uid, command.identity.gid) < 0)
    fprintf(stderr, "forkd-agent: a terminal keeps its owner: %s\n", strerror(errno));
  if (start(p, &command, theirs, e) < 0) {
    process_discard(p);
    return -1;
  }
  process_open(p, c, f->id, timeout_ms);
  if (loop_watch(&c->agent->loop, &p->report, EPOLLIN, e) < 0) {
    signal_group(p->pid, SIGKILL);
    process_refused(p, e);
  }
  return 0;
}
