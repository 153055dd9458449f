// Scope-bound ownership: `cleanup_fd int fd = open(...)` closes on every way out of the scope.
#pragma once
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd_close(int *fd) {
  if (*fd >= 0) close(*fd);
}

static inline void cleanup_free_pointer(void *pointer) { free(*(void **)pointer); }

#define cleanup_fd __attribute__((cleanup(cleanup_fd_close)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))

// Hands ownership out of a cleanup_fd variable.
static inline int steal_fd(int *fd) {
  int taken = *fd;
  *fd = -1;
  return taken;
}
