#define _GNU_SOURCE
#include "terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../common/cleanup.h"

void terminal_resize(int ours, int64_t rows, int64_t columns) {
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  ioctl(ours, TIOCSWINSZ, &size);
}

int terminal_open(int64_t rows, int64_t columns, int *ours, int *theirs, struct error *e) {
  int unlock = 0;
  cleanup_fd int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FAIL_ERRNO(e, "opening /dev/ptmx for a terminal");
  if (ioctl(fd, TIOCSPTLCK, &unlock) < 0) return FAIL_ERRNO(e, "unlocking a terminal");
  // By descriptor: a path below /dev/pts could be somebody else's by now.
  *theirs = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*theirs < 0) return FAIL_ERRNO(e, "opening the command's end of a terminal");
  terminal_resize(fd, rows, columns);
  *ours = steal_fd(&fd);
  return 0;
}
