// What a process does between its clone and its work: the root of a sandbox or template.
#pragma once
#include "family.h"

struct root_plan {
  const char *hostname, *machine_id;
  struct file_limits files;
  bool is_template;  // sees the runtime's Python files, and not what it will have written
  int upper;         // made by root_enter: the directory that holds the writable layer, u
};

// Mounts a root of its own (overlay, proc, sys, dev, tmp), moves into it and drops the old one.
int root_enter(const struct family *f, struct root_plan *plan, struct error *e);
// Limits of one process (open files, no core dumps), for all that it starts.
int resource_limits_set(int64_t open_files, struct error *e);
// The loopback interface of the current network namespace.
int loopback_up(struct error *e);

enum note_kind { NOTE_FAILED = 1, NOTE_MAP_ME = 2, NOTE_MAPPED = 3, NOTE_READY = 4 };

// What a new process and the warden tell each other over a seqpacket socket.
struct setup_note {
  enum note_kind note;
  struct error error; // of NOTE_FAILED
};

int note_send(int socket, enum note_kind note, const struct error *why);
// With a copy of a descriptor.
int note_send_fd(int socket, enum note_kind note, int fd);
// As recv(2) without waiting; *fd is -1 when none came.
ssize_t note_take(int socket, struct setup_note *note, int *fd);
// Waits for the next note; anything but `wanted` is a failure.
int note_wait(int socket, enum note_kind wanted, struct error *e);

struct agent_plan {
  struct root_plan root;
  int note, listener, runtime;
  int entries[3];
  size_t entry_count;
};

// PID 1 of a sandbox, just cloned by the warden.
_Noreturn void sandbox_main(struct family *f, struct agent_plan *plan);
