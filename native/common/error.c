#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *e, enum error_kind kind, int err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(e->message, sizeof e->message, format, args);
  va_end(args);
  size_t used = n < 0 ? 0 : (size_t)n;
  if (used >= sizeof e->message) used = sizeof e->message - 1;
  if (err != 0) snprintf(e->message + used, sizeof e->message - used, ": %s", strerror(err));
  e->kind = kind;
  e->err = err;
  return -1;
}

enum error_kind error_kind_of(int err) {
  switch (err) {
    case ENOENT:
    case ENOTDIR:
      return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
      return ERR_DENIED;
    case EEXIST:
      return ERR_EXISTS;
    case ENOSPC:
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case EDQUOT:
      return ERR_EXHAUSTED;
    case EINVAL:
    case ENAMETOOLONG:
    case E2BIG:
    case EISDIR:
    case ELOOP:
      return ERR_INVALID;
    case ENOSYS:
    case EOPNOTSUPP:
      return ERR_UNSUPPORTED;
    case ETIMEDOUT:
      return ERR_TIMEOUT;
    case EIO:
    case EPIPE:
    case ECONNRESET:
      return ERR_IO;
    default:
      return ERR_INTERNAL;
  }
}

const char *error_kind_name(enum error_kind kind) {
  static const char *const names[] = {
      [ERR_INTERNAL] = "internal",       [ERR_INVALID] = "invalid",
      [ERR_UNSUPPORTED] = "unsupported", [ERR_NOT_FOUND] = "not_found",
      [ERR_DENIED] = "denied",           [ERR_EXISTS] = "exists",
      [ERR_EXHAUSTED] = "exhausted",     [ERR_TIMEOUT] = "timeout",
      [ERR_RUNTIME] = "runtime",         [ERR_IO] = "io",
  };
  return names[kind];
}
