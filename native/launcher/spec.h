// The daemon's requests, parsed and checked. Everything here is owned by the spec.
#pragma once
#include "protocol.h"
#include "sys.h"
#include "userns.h"

struct limits {
  int64_t memory_bytes, pids_max, cpu_millis; // 0 = no limit
  int64_t io_weight; // 1 to IO_WEIGHT_MAX against others; 0 = IO_WEIGHT_USUAL
};

struct layer {
  char *path;
  bool idmap, copy;
};

struct template_spec {
  char *name;
  struct layer layers[LAYERS_MAX]; // top first
  size_t layer_count;
  char **hidden, **writable, **deltas; // deltas: newest first; none: not a branch
  uid_t uid_base;      // as the daemon gave it
  struct id_range ids; // of the user namespace: from there on, or an ordinary user's only one
  char **argv, **env;
  char **syscalls; // let through the filter
  char *cwd, *hostname, *runtime_dir;
  char *warm;  // where what warm-up writes is kept; NULL: it has none, or is a branch
  char *front; // NULL: the interpreter stays where it is
  int64_t timeout_ms;
  struct limits limits;
  int64_t open_files; // of each process of template and sandboxes; 0: OPEN_FILES_MAX
  uint8_t *warm_up;
  size_t warm_up_length;
};

int template_spec_parse(const struct frame *f, struct template_spec *out, struct error *e);
void template_spec_free(struct template_spec *spec);

struct file_limits {
  int64_t disk_bytes, tmp_bytes, shm_bytes; // 0 = the kernel's default for a tmpfs
};

struct child_spec {
  char *name, *hostname, *machine_id;
};

struct fork_spec {
  char *template;
  struct child_spec *children;
  size_t count;
  struct limits limits;
  struct file_limits files;
  int64_t timeout_ms;
};

int fork_spec_parse(const struct frame *f, struct fork_spec *out, struct error *e);
void fork_spec_free(struct fork_spec *spec);

int limits_parse(const struct frame *f, struct limits *out, struct error *e);
int file_limits_parse(const struct frame *f, struct file_limits *out, struct error *e);
// A text that must be there.
int required_text(const struct frame *f, uint8_t key, const char *what, char **out,
                  struct error *e);
