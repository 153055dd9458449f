// forkd-vm hold: keeps files without a name, or whose name may change, for as long as it lives.
//
//   forkd-vm hold BYTES [FILE]...
//
// Makes a memory file of BYTES (0: none) and opens FILEs; says its pid and the descriptors, the
// memory file's first. "seal" on stdin: nobody can change the memory from then on.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pages.h"

static int make_memory(int64_t bytes, struct error *e) {
  int fd = memfd_create("forkd-template", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  return fd < 0 || ftruncate(fd, bytes) < 0 ? FAIL_ERRNO(e, "a memory file") : fd;
}

static int seal(int memory, struct error *e) {
  if (memory < 0) return FAIL(e, ERR_INVALID, "there is no memory to seal");
  if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
    return FAIL_ERRNO(e, "sealing the template's memory");
  printf("sealed\n");
  fflush(stdout);
  return 0;
}

int verb_hold(char **argv, struct error *e) {
  char line[16];
  int64_t bytes = argv[0] ? strtoll(argv[0], NULL, 10) : 0;
  int memory = bytes > 0 ? make_memory(bytes, e) : -1;
  if (bytes > 0 && memory < 0) return -1;
  printf("%d", (int)getpid());
  if (memory >= 0) printf(" %d", memory);
  for (char **file = argv + !!argv[0]; *file; file++) {
    int fd = open(*file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL_ERRNO(e, "opening %s", *file);
    printf(" %d", fd);
  }
  printf("\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    if (strcmp(line, "seal\n") != 0) return FAIL(e, ERR_INVALID, "hold knows only seal");
    if (seal(memory, e) < 0) return -1;
  }
  return 0;
}
