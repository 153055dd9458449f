#define _GNU_SOURCE
#include "pids.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "sys.h"

// linux/nsfs.h, Linux 6.11: the caller's number of a process of another pid namespace.
#define PID_OF_NAMESPACE _IOR(0xb7, 0x6, int)

enum { CHILDREN_TEXT_MAX = 65536 };

pid_t pid_of_pidfd(int pidfd) {
  char path[48], text[512];
  struct error ignored;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  if (read_text(AT_FDCWD, path, text, sizeof text, &ignored) < 0) return 0;
  const char *at = strstr(text, "\nPid:");
  return at ? (pid_t)strtol(at + 5, NULL, 10) : 0;
}

// NSpid lists a process's pids from the reader's namespace down to its own, which is the sandbox's:
// the template's is the last but one.
static bool is_called(pid_t here, pid_t in_template) {
  char path[48], text[4096];
  struct error ignored;
  snprintf(path, sizeof path, "/proc/%d/status", here);
  if (read_text(AT_FDCWD, path, text, sizeof text, &ignored) < 0) return false;
  char *at = strstr(text, "\nNSpid:");
  if (!at) return false;
  long last = 0, last_but_one = 0;
  char *end = at + 7;
  for (char *word = end; *word != '\n'; word = end) {
    long number = strtol(word, &end, 10);
    if (end == word) break;
    last_but_one = last;
    last = number;
    while (*end == '\t') end++;
  }
  return last_but_one == in_template;
}

// The children of a process stand in the order of their forks: the one that is asked for, which has
// just been forked, is near the end.
static pid_t search_children(pid_t zygote, pid_t pid) {
  char path[64];
  struct error ignored;
  cleanup_free char *text = malloc(CHILDREN_TEXT_MAX);
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", zygote, zygote);
  if (!text || read_text(AT_FDCWD, path, text, CHILDREN_TEXT_MAX, &ignored) < 0) return 0;
  for (char *space; (space = strrchr(text, ' ')); *space = 0) {
    if (!space[1]) continue; // the text ends with one
    pid_t here = (pid_t)strtol(space + 1, NULL, 10);
    if (is_called(here, pid)) return here;
  }
  pid_t first = (pid_t)strtol(text, NULL, 10);
  return first > 0 && is_called(first, pid) ? first : 0;
}

static bool namespace_of(pid_t pid, char *name, size_t size) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
  ssize_t n = readlink(path, name, size - 1);
  if (n <= 0) return false;
  name[n] = 0;
  return true;
}

bool pid_shares_namespace(pid_t a, pid_t b) {
  char of_a[64], of_b[64];
  return namespace_of(a, of_a, sizeof of_a) && namespace_of(b, of_b, sizeof of_b) &&
         strcmp(of_a, of_b) == 0;
}

// Its own number is the last one of NSpid.
static bool is_called_there(pid_t here, pid_t there) {
  char path[48], text[4096];
  struct error ignored;
  snprintf(path, sizeof path, "/proc/%d/status", here);
  if (read_text(AT_FDCWD, path, text, sizeof text, &ignored) < 0) return false;
  char *at = strstr(text, "\nNSpid:");
  char *end = at ? strchr(at + 1, '\n') : NULL;
  if (!end) return false;
  *end = 0;
  char *last = strrchr(at, '\t');
  return last && strtol(last, NULL, 10) == there;
}

static pid_t search_all(pid_t init, pid_t pid) {
  struct dirent *entry;
  pid_t found = 0;
  DIR *dir = opendir("/proc");
  while (dir && found == 0 && (entry = readdir(dir))) {
    pid_t here = (pid_t)strtol(entry->d_name, NULL, 10);
    if (here > 0 && pid_shares_namespace(here, init) && is_called_there(here, pid)) found = here;
  }
  if (dir) closedir(dir);
  return found;
}

pid_t pid_in_sandbox(pid_t init, pid_t pid) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
  cleanup_fd int namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0) return 0;
  int found = ioctl(namespace, PID_OF_NAMESPACE, (unsigned long)pid);
  if (found <= 0) return errno == ENOTTY ? search_all(init, pid) : 0;
  return pid_shares_namespace(found, init) ? found : 0;
}

pid_t pid_from_namespace(int pid_namespace, pid_t zygote, pid_t pid) {
  if (pid_namespace < 0) return 0;
  int found = ioctl(pid_namespace, PID_OF_NAMESPACE, (unsigned long)pid);
  if (found > 0) return found;
  return errno == ENOTTY && zygote > 0 ? search_children(zygote, pid) : 0;
}
