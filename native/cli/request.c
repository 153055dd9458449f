#define _GNU_SOURCE
#include "request.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

static const char *const local_verbs[] = {"serve", "quickstart", "doctor", "stop", "cleanup"};
static const char *const url_flags[] = {"--url", "--daemon-url"};

static bool names_url(const char *arg) {
  for (size_t i = 0; i < sizeof url_flags / sizeof *url_flags; i++) {
    size_t n = strlen(url_flags[i]);
    if (strncmp(arg, url_flags[i], n) == 0 && (arg[n] == 0 || arg[n] == '=')) return true;
  }
  return false;
}

bool request_relayable(int argc, char **argv) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == 0) return false;
  if (getenv("FORKD_NO_RELAY") || getenv("FORKD_URL")) return false;
  for (size_t i = 0; i < sizeof local_verbs / sizeof *local_verbs; i++)
    if (strcmp(argv[1], local_verbs[i]) == 0) return false;
  // What follows "--" belongs to the program in the sandbox.
  for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (names_url(argv[i])) return false;
  return true;
}

static bool passes(const char *variable) {
  static const char *const names[] = {"TERM=", "NO_COLOR=", "LANG=", "HOME="};
  if (strncmp(variable, "FORKD_", 6) == 0) return strncmp(variable, "FORKD_TTY=", 10) != 0;
  if (strncmp(variable, "XDG_", 4) == 0) return true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strncmp(variable, names[i], strlen(names[i])) == 0) return true;
  return false;
}

static int terminal_columns(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char *columns = getenv("COLUMNS");
  int n = columns ? atoi(columns) : 0;
  return n > 0 ? n : 80;
}

// Nothing can be read from /dev/null: programs in sandboxes then get no input stream at all.
static bool has_input(void) {
  struct stat st;
  if (fstat(STDIN_FILENO, &st) < 0) return false;
  return !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

// A test suite may depend on any variable; no other command is told more than it needs.
static bool takes_everything(const char *variable, const char *verb) {
  return strcmp(verb, "test") == 0 && strncmp(variable, "FORKD_TTY=", 10) != 0 &&
         strncmp(variable, "COLUMNS=", 8) != 0;
}

int request_put(struct buffer *out, int argc, char **argv, struct error *e) {
  char cwd[PATH_MAX], text[64];
  if (!getcwd(cwd, sizeof cwd)) return FAIL_ERRNO(e, "getcwd");
  struct frame_writer w = frame_begin(out, F_EXEC, 1);
  put_int(&w, K_VERSION, PROTOCOL_VERSION);
  for (int i = 1; i < argc; i++) put_text(&w, K_ARGV, argv[i]);
  for (char **at = environ; *at; at++)
    if (passes(*at) || takes_everything(*at, argv[1])) put_text(&w, K_ENV, *at);
  snprintf(text, sizeof text, "COLUMNS=%d", terminal_columns());
  put_text(&w, K_ENV, text);
  snprintf(text, sizeof text, "FORKD_TTY=%d%d%d", isatty(0), isatty(1), isatty(2));
  put_text(&w, K_ENV, text);
  put_text(&w, K_CWD, cwd);
  put_int(&w, K_STDIN, has_input());
  return frame_end(&w, e);
}
