// The system-call filter of the sandboxes of both engines (and, but for setns, of the zygote).
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"

enum { FILTER_MAX = 255 }; // classic BPF jumps reach 255 instructions

struct filter {
  struct sock_filter code[FILTER_MAX];
  size_t length;
};

// What is let through all the same.
struct filter_choice {
  bool setns;
  char *const *asked; // names of system calls, checked; NULL: none
};

// Whether each of the names is one that can be asked for. ERR_INVALID tells which is not.
int filter_check(char *const *asked, struct error *e);
// Everything that a container has no business with is refused with EPERM, what is newer than this
// list with ENOSYS; the C library then falls back to calls that a filter can judge.
void filter_build(struct filter *out, const struct filter_choice *choice);
// For a process that already is under a filter that lets setns through: takes that away as well.
void filter_build_no_setns(struct filter *out);
// no_new_privs and the filter, for good.
int filter_install(const struct filter *filter, struct error *e);
