// Which interpreter is meant: the rules by which CPython finds out its own path.
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "warm.h"

static const char *variable(const struct command *c, const char *name) {
  size_t n = strlen(name);
  for (char **at = c->env; *at; at++)
    if (strncmp(*at, name, n) == 0 && (*at)[n] == '=') return *at + n + 1;
  return NULL;
}

static bool is_executable_file(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool search(struct command *c, const char *name) {
  const char *from = variable(c, "PATH");
  for (const char *end; from; from = *end ? end + 1 : NULL) {
    end = strchrnul(from, ':');
    int n = snprintf(c->executable, sizeof c->executable, "%.*s/%s", (int)(end - from), from, name);
    // A relative entry would have to be made absolute; nobody has one.
    if (n < 0 || (size_t)n >= sizeof c->executable || *from != '/') continue;
    if (is_executable_file(c->executable)) return true;
  }
  return false;
}

// A pyvenv.cfg beside the interpreter, or one directory above, means another prefix.
static bool is_virtual(const char *executable) {
  static const char *const places[] = {"pyvenv.cfg", "../pyvenv.cfg"};
  const char *slash = strrchr(executable, '/');
  char path[PATH_MAX + 32];
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(path, sizeof path, "%.*s/%s", (int)(slash - executable), executable, places[i]);
    if (access(path, F_OK) == 0) return true;
  }
  return false;
}

const char *executable_find(struct command *c) {
  const char *name = c->argv[0];
  struct stat meant, self;
  char *canonical;
  if (name[0] == '/') {
    if (strlen(name) >= sizeof c->executable) return "the interpreter's path is too long";
    strcpy(c->executable, name);
  } else if (strchr(name, '/')) {
    return "the interpreter was named by a relative path";
  } else if (!search(c, name)) {
    return "the interpreter is not found along PATH";
  }
  if (stat(c->executable, &meant) < 0 || stat("/proc/self/exe", &self) < 0 ||
      meant.st_ino != self.st_ino || meant.st_dev != self.st_dev)
    return "PATH leads to another interpreter";
  // A link from elsewhere, as in a virtual environment, may mean another prefix.
  if (!(canonical = realpath(c->executable, NULL))) return "the interpreter's path is not clear";
  size_t there = (size_t)(strrchr(canonical, '/') - canonical);
  size_t here = (size_t)(strrchr(c->executable, '/') - c->executable);
  bool same = there == here && memcmp(canonical, c->executable, here) == 0;
  free(canonical);
  if (!same) return "a link to the interpreter may mean another prefix";
  return is_virtual(c->executable) ? "the interpreter belongs to a virtual environment" : NULL;
}
