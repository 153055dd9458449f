// Where the hierarchies are mounted and which group this process is in.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_ops.h"

bool has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *at = list; at; at = strchr(at, ',')) {
    at += *at == ',';
    if (strncmp(at, word, n) == 0 && (at[n] == 0 || at[n] == ',')) return true;
  }
  return false;
}

// proc_pid_mountinfo(5): id parent dev root point options [optional…] - type source super-options
static bool parse_mount(const char *line, struct cgroup_mount *m) {
  const char *rest = strstr(line, " - ");
  if (!rest) return false;
  if (sscanf(line, "%*d %*d %*s %511s %511s", m->root, m->point) != 2) return false;
  if (sscanf(rest, " - %15s %*s %255s", m->type, m->options) != 2) return false;
  return strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0;
}

bool cgroup_each_mount(bool (*visit)(const struct cgroup_mount *m, void *arg), void *arg) {
  char line[4096];
  struct cgroup_mount m;
  bool found = false;
  FILE *file = fopen("/proc/self/mountinfo", "re");
  if (!file) return false;
  while (!found && fgets(line, sizeof line, file)) found = parse_mount(line, &m) && visit(&m, arg);
  fclose(file);
  return found;
}

void cgroup_own_path(const char *controller, char *path, size_t size) {
  char line[1024], list[256], own[512];
  snprintf(path, size, "/");
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    list[0] = 0;
    if (sscanf(line, "%*d:%255[^:]:%511[^\n]", list, own) != 2 &&
        sscanf(line, "0::%511[^\n]", own) != 1)
      continue;
    if (*controller ? !has_word(list, controller) : *list) continue;
    snprintf(path, size, "%s", own);
    break;
  }
  fclose(file);
}

int cgroup_open_own(const struct cgroup_mount *m, const char *controller) {
  char own[512], path[1100];
  cgroup_own_path(controller, own, sizeof own);
  size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
  // A group outside what is mounted here cannot be reached: then the top of the mount serves.
  bool inside = strncmp(own, m->root, root) == 0;
  snprintf(path, sizeof path, "%s%s", m->point, inside ? own + root : "");
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
