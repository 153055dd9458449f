// ip(8) and nft(8), by their usual places: the environment of whoever runs this is not asked.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "net.h"

static const char *const ip_paths[] = {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", NULL};
static const char *const nft_paths[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", NULL};

static const char *find_tool(const char *const *paths) {
  for (; *paths; paths++)
    if (access(*paths, X_OK) == 0) return *paths;
  return NULL;
}

// The child: what it writes goes to `out`.
static _Noreturn void become(const char *tool, const char *const *argv, int namespace, int in,
                             int out) {
  signal(SIGPIPE, SIG_DFL);
  if (namespace >= 0 && setns(namespace, CLONE_NEWNET) < 0) _exit(126);
  dup2(in, 0);
  dup2(out, 1);
  execv(tool, (char *const *)argv);
  _exit(127);
}

static int finish(pid_t pid, const char *tool, struct error *e) {
  int status;
  if (waitpid(pid, &status, 0) < 0) return FAIL_ERRNO(e, "waiting for %s", tool);
  return status == 0 ? 0 : FAIL(e, ERR_IO, "%s ended with status 0x%x", tool, (unsigned)status);
}

static int start(const char *const *paths, const char *const *argv, int namespace, int in, int out,
                 pid_t *pid, const char **tool, struct error *e) {
  *tool = find_tool(paths);
  if (!*tool)
    return FAIL(e, ERR_UNSUPPORTED, "%s is missing: install iproute2 and nftables", paths[0]);
  *pid = fork();
  if (*pid == 0) become(*tool, argv, namespace, in, out);
  return *pid < 0 ? FAIL_ERRNO(e, "fork for %s", *tool) : 0;
}

static int feed(int namespace, const char *const *paths, const char *const *argv, const char *text,
                struct error *e) {
  int ends[2];
  pid_t pid;
  const char *tool;
  signal(SIGPIPE, SIG_IGN); // a tool that ends before it has read is told by its status
  if (pipe2(ends, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "pipe");
  int done = start(paths, argv, namespace, ends[0], 2, &pid, &tool, e);
  close(ends[0]);
  // Less than a pipe holds: this cannot block.
  bool written = write(ends[1], text, strlen(text)) == (ssize_t)strlen(text);
  close(ends[1]);
  if (done < 0 || finish(pid, tool, e) < 0) return -1;
  return written ? 0 : FAIL(e, ERR_IO, "%s did not read its orders", tool);
}

int ip_batch(int namespace, const char *text, struct error *e) {
  return feed(namespace, ip_paths, (const char *const[]){"ip", "-batch", "-", NULL}, text, e);
}

int nft_apply(int namespace, const char *text, struct error *e) {
  return feed(namespace, nft_paths, (const char *const[]){"nft", "-f", "-", NULL}, text, e);
}

int nft_list(int namespace, const char *table, const char *set, char *text, size_t size,
             struct error *e) {
  // Numbers and no names of services.
  const char *const argv[] = {"nft", "-n", "list", "set", "ip", table, set, NULL};
  int ends[2];
  pid_t pid;
  const char *tool;
  size_t used = 0;
  ssize_t n = 1;
  if (pipe2(ends, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "pipe");
  cleanup_fd int out = ends[0];
  int done = start(nft_paths, argv, namespace, 0, ends[1], &pid, &tool, e);
  close(ends[1]);
  if (done < 0) return -1;
  while (n > 0 && used < size - 1) {
    n = read(out, text + used, size - 1 - used);
    if (n > 0) used += (size_t)n;
  }
  text[used] = 0;
  return finish(pid, tool, e);
}
