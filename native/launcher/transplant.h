// Makes a fresh fork of a zygote the twin of another process that descends from the same zygote.
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

struct held {
  pid_t pid;
  int pidfd; // of the same process: a pid alone may be another's by now
};

struct transplanted {
  int64_t pages, mappings; // copied; made, changed or removed
  int64_t resident;        // bytes of the frozen process's memory
};

// `from` pauses or is about to, `to` waits in a system call. Both have one thread. Afterwards `to`
// goes on where `from` is. Whatever fails: both are killed when the calling process ends.
int transplant(const struct held *from, const struct held *to, struct transplanted *out,
               struct error *e);
