#define _GNU_SOURCE
#include "spawn.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "connect.h"

enum stage { STAGE_SETUP, STAGE_USER, STAGE_CWD, STAGE_EXEC, STAGE_CONNECT };

struct failure {
  int stage;
  int err;
};

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static struct {
  struct rlimit files;    // as the agent found it
  struct rlimit commands; // that, or the recipe's limit where it is lower
  const struct filter *filter; // NULL: none but the agent's own
  bool shielded;          // oom_score_adj was lowered: commands must not be spared
} inherited;

static bool write_oom_score(const char *score) {
  cleanup_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  return fd >= 0 && write(fd, score, strlen(score)) > 0;
}

// By this process, or by the launcher that it is a fork of: the one with the privilege for it.
static bool is_shielded(void) {
  char sign = 0;
  cleanup_fd int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
  return fd >= 0 && read(fd, &sign, 1) == 1 && sign == '-';
}

int spawn_prepare(int64_t open_files, const struct filter *filter, struct error *e) {
  int fd;
  // Pipes must never get numbers 0-2: the child moves its ends there.
  do fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  while (fd >= 0 && fd <= 2);
  if (fd >= 0) close(fd);
  if (getrlimit(RLIMIT_NOFILE, &inherited.files) < 0) return FAIL_ERRNO(e, "getrlimit");
  inherited.commands = inherited.files;
  inherited.filter = filter;
  if (open_files && (rlim_t)open_files < inherited.files.rlim_max)
    inherited.commands = (struct rlimit){(rlim_t)open_files, (rlim_t)open_files};
  struct rlimit raised = {inherited.files.rlim_max, inherited.files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &raised);
  write_oom_score("-1000");
  inherited.shielded = is_shielded();
  // Refused when the launcher has emptied the bounding set already, which is just as well.
  for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++) continue;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return FAIL_ERRNO(e, "no_new_privs");
  return 0;
}

_Noreturn static void child_fail(int report, int stage) {
  struct failure f = {stage, errno};
  // Nobody is left to tell when this write fails.
  ssize_t ignored = write(report, &f, sizeof f);
  (void)ignored;
  _exit(127);
}

static void close_from(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  for (unsigned fd = first; fd < inherited.files.rlim_max && fd < 65536; fd++) close((int)fd);
}

// Raw system calls: the C library's wrappers would look for threads to take along.
static int change(const struct identity *who) {
  // The namespaces of an ordinary user keep that user's groups (user_namespaces(7)), and their only
  // id is there already.
  if (syscall(SYS_setgroups, who->group_count, who->groups) < 0)
    return who->uid == geteuid() && who->gid == getegid() ? 0 : -1;
  if (syscall(SYS_setresgid, who->gid, who->gid, who->gid) < 0) return -1;
  return (int)syscall(SYS_setresuid, who->uid, who->uid, who->uid);
}

static int become(const struct identity *who) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  if (who->change && change(who) < 0) return -1;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return (int)syscall(SYS_capset, &header, none);
}

// The C library keeps signals 32 to 34 for itself and refuses to reset them, though an ancestor
// that ignored them (make does) passes that on; so the system call. Zero is the default action.
static void reset_signals(void) {
  const uint64_t fallback[4] = {0};
  const uint64_t none = 0;
  for (int number = 1; number <= 64; number++)
    syscall(SYS_rt_sigaction, number, fallback, NULL, sizeof none);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

static const char *path_of(char **env) {
  for (; *env; env++)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return default_path;
}

// Looks along PATH as execvp does: a directory that may not be searched does not end the search,
// but is the answer when nothing better is found.
static void exec_along_path(const struct command *c) {
  char file[4096];
  int found = ENOENT;
  const char *from = path_of(c->env);
  for (const char *end; from; from = *end ? end + 1 : NULL) {
    end = strchrnul(from, ':');
    int n = snprintf(file, sizeof file, "%.*s%s%s", (int)(end - from), from,
                     end == from ? "" : "/", c->argv[0]);
    if (n < 0 || (size_t)n >= sizeof file) continue;
    execve(file, c->argv, c->env);
    if (errno == EACCES) found = EACCES;
    else if (errno != ENOENT && errno != ENOTDIR) return;
  }
  errno = found;
}

_Noreturn static void child_connect(int port, int report) {
  int connection = connect_open(port);
  if (connection < 0) child_fail(report, STAGE_CONNECT);
  close(report);
  connect_relay(connection);
}

_Noreturn static void child_run(const struct command *c, const int fds[3], int report) {
  struct error e;
  setsid();
  for (int i = 0; i < 3; i++)
    if (dup2(fds[i], i) < 0) child_fail(report, STAGE_SETUP);
  if (c->terminal && ioctl(0, TIOCSCTTY, 0) < 0) child_fail(report, STAGE_SETUP);
  if (report != 3 && dup3(report, 3, O_CLOEXEC) < 0) child_fail(report, STAGE_SETUP);
  report = 3;
  close_from(4);
  if (inherited.shielded) write_oom_score("0");
  setrlimit(RLIMIT_NOFILE, &inherited.commands);
  umask(022);
  if (become(&c->identity) < 0) child_fail(report, STAGE_USER);
  if (inherited.filter && filter_install(inherited.filter, &e) < 0)
    child_fail(report, STAGE_SETUP);
  if (chdir(c->cwd) < 0) child_fail(report, STAGE_CWD);
  reset_signals();
  if (c->port) child_connect(c->port, report);
  if (strchr(c->argv[0], '/')) execve(c->argv[0], c->argv, c->env);
  else exec_along_path(c);
  child_fail(report, STAGE_EXEC);
}

int spawn_command(const struct command *c, const int fds[3], pid_t *pid, int *report,
                  struct error *e) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return FAIL_ERRNO(e, "pipe for %s", c->argv[0]);
  cleanup_fd int ours = ends[0], theirs = ends[1];
  // fork, not vfork: changing the user in shared memory would make the agent undumpable, and a
  // sibling with the new user's id could reach into it before the exec.
  pid_t child = fork();
  if (child < 0) return FAIL_ERRNO(e, "starting %s", c->argv[0]);
  if (child == 0) child_run(c, fds, theirs);
  *pid = child;
  *report = steal_fd(&ours);
  return 0;
}

static int explain(const struct failure *f, const char *command, const char *cwd,
                   struct error *e) {
  errno = f->err;
  switch (f->stage) {
    case STAGE_USER:
      return error_set(e, f->err == EPERM ? ERR_DENIED : ERR_INVALID, f->err,
                       "cannot start %s as that user", command);
    case STAGE_CWD:
      return error_set(e, f->err == EACCES ? ERR_DENIED : ERR_INVALID, f->err,
                       "cannot start %s in directory %s", command, cwd);
    case STAGE_CONNECT:
      return f->err == ECONNREFUSED
                 ? error_set(e, ERR_NOT_FOUND, f->err, "nothing listens on %s", command)
                 : FAIL_ERRNO(e, "cannot connect to %s", command);
    case STAGE_EXEC:
      if (f->err == ENOEXEC || f->err == ENOTDIR)
        return error_set(e, ERR_INVALID, f->err, "cannot execute %s", command);
      if (f->err == ENOENT && strchr(command, '/'))
        return error_set(e, ERR_NOT_FOUND, f->err,
                         "%s is missing, or the interpreter that it names is", command);
      if (f->err == ENOENT)
        return error_set(e, ERR_NOT_FOUND, f->err, "command %s is not found along PATH", command);
      return FAIL_ERRNO(e, "cannot execute %s", command);
    default:
      return FAIL_ERRNO(e, "cannot set up a process for %s", command);
  }
}

int spawn_report(int report, const char *command, const char *cwd, struct error *e) {
  struct failure f;
  ssize_t n;
  do n = read(report, &f, sizeof f);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return 0;
  return n == (ssize_t)sizeof f ? explain(&f, command, cwd, e) : 1;
}

void signal_group(pid_t leader, int number) {
  // 1 would mean everyone, 0 our own group.
  if (leader > 1 && kill(-leader, number) < 0 && errno == ESRCH) kill(leader, number);
}

void signal_process(pid_t pid, int number) {
  if (pid > 1) kill(pid, number);
}

void signal_everyone(int number) {
  if (getpid() == 1) kill(-1, number);
}

bool process_exists(pid_t pid) { return pid > 1 && (kill(pid, 0) == 0 || errno != ESRCH); }

bool is_child(pid_t pid) {
  siginfo_t info;
  return pid > 1 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool everyone_is_gone(void) { return getpid() != 1 || (kill(-1, 0) < 0 && errno == ESRCH); }
