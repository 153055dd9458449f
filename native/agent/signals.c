#include "signals.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

// strsignal() describes, and sigabbrev_np() is not to be had everywhere.
const char *signal_name(int number, char room[16]) {
  static const char *const names[] = {
      [SIGHUP] = "SIGHUP",       [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT",
      [SIGILL] = "SIGILL",       [SIGTRAP] = "SIGTRAP",     [SIGABRT] = "SIGABRT",
      [SIGBUS] = "SIGBUS",       [SIGFPE] = "SIGFPE",       [SIGKILL] = "SIGKILL",
      [SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV",     [SIGUSR2] = "SIGUSR2",
      [SIGPIPE] = "SIGPIPE",     [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM",
      [SIGXCPU] = "SIGXCPU",     [SIGXFSZ] = "SIGXFSZ",     [SIGSYS] = "SIGSYS",
  };
  if (number > 0 && (size_t)number < sizeof names / sizeof *names && names[number])
    return names[number];
  snprintf(room, 16, "signal %d", number);
  return room;
}
