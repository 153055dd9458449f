// One way to fail: functions return 0, or -1 with the error filled in.
#pragma once
#include <errno.h>

enum error_kind {
  ERR_INTERNAL,
  ERR_INVALID,
  ERR_UNSUPPORTED,
  ERR_NOT_FOUND,
  ERR_DENIED,
  ERR_EXISTS,
  ERR_EXHAUSTED,
  ERR_TIMEOUT,
  ERR_RUNTIME,
  ERR_IO,
};

struct error {
  enum error_kind kind;
  int err;           // errno, or 0
  char message[512]; // for people; never empty once set
};

// Fills `e` from the format and, when `err` is not 0, appends ": strerror(err)". Returns -1.
int error_set(struct error *e, enum error_kind kind, int err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The kind that an errno of a system call stands for (ENOENT -> not found, EACCES -> denied, ...).
enum error_kind error_kind_of(int err);

// Wire name of a kind, as docs/agent-protocol.md lists them.
const char *error_kind_name(enum error_kind kind);

#define FAIL_ERRNO(e, ...) error_set((e), error_kind_of(errno), errno, __VA_ARGS__)
#define FAIL(e, kind, ...) error_set((e), (kind), 0, __VA_ARGS__)
