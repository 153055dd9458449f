#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "warm.h"

// They replace, trace, measure or build interpreters.
static const char *const excluded_modules[] = {
    "pip", "venv", "ensurepip", "pdb", "bdb", "trace", "tracemalloc", "cProfile", "profile",
    "coverage", "idlelib", "virtualenv", "faulthandler", "site", "memray", "scalene", "ipdb"};
static const char *const excluded_scripts[] = {"pip", "coverage", "virtualenv", "ipython"};

static bool is_excluded_module(const char *name) {
  size_t n = strcspn(name, ".");
  for (size_t i = 0; i < sizeof excluded_modules / sizeof *excluded_modules; i++)
    if (strlen(excluded_modules[i]) == n && memcmp(name, excluded_modules[i], n) == 0) return true;
  return false;
}

static bool is_excluded_script(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  for (size_t i = 0; i < sizeof excluded_scripts / sizeof *excluded_scripts; i++) {
    size_t n = strlen(excluded_scripts[i]);
    // pip, pip3, pip3.11, python3-coverage
    if (strncmp(name, excluded_scripts[i], n) == 0) return true;
    if (strncmp(name, "python3-", 8) == 0 && strncmp(name + 8, excluded_scripts[i], n) == 0)
      return true;
  }
  return false;
}

static const char *script(struct command *c, int at) {
  if (at >= c->argc) return "it reads its program from standard input";
  c->kind = "file";
  c->text = c->argv[at];
  c->first = at + 1;
  if (strcmp(c->text, "-") == 0) return "it reads its program from standard input";
  if (!c->text[0]) return "the script has no name";
  struct stat st;
  // The interpreter itself says best what is wrong with it.
  if (stat(c->text, &st) < 0 || access(c->text, R_OK) < 0) return "the script cannot be read";
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return "the script is no regular file";
  return is_excluded_script(c->text) ? "the script works on the interpreter itself" : NULL;
}

static const char *valued(struct command *c, char letter, const char *rest, int at) {
  int value = at;
  if (!*rest) {
    value = at + 1;
    if (value >= c->argc) return "an option lacks its argument";
    rest = c->argv[value];
  }
  c->kind = letter == 'c' ? "code" : "module";
  c->text = rest;
  c->first = value + 1;
  if (letter == 'c') return NULL;
  if (!*rest) return "the module has no name";
  return is_excluded_module(rest) ? "the module works on the interpreter itself" : NULL;
}

static void note_option(struct command *c, char letter) {
  size_t n = strlen(c->options);
  if (!strchr(c->options, letter)) {
    c->options[n] = letter;
    c->options[n + 1] = 0;
  }
}

const char *command_parse(struct command *c) {
  int at = 1;
  for (; at < c->argc; at++) {
    const char *word = c->argv[at];
    if (word[0] != '-' || !word[1]) break;
    if (word[1] == '-') {
      if (word[2]) return "of the long options none can run warm";
      return script(c, at + 1);
    }
    for (const char *letter = word + 1; *letter; letter++) {
      if (*letter == 'c' || *letter == 'm') return valued(c, *letter, letter + 1, at);
      if (*letter != 'B' && *letter != 'u') return "of the options only -B and -u can run warm";
      note_option(c, *letter);
    }
  }
  return script(c, at);
}
