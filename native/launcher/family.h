// A template's own processes: holder, warden, zygote and the agents of its sandboxes. The holder is
// this program executed anew, so that nothing of other templates is in its memory; the others are
// forks of it, so what they are to do reaches them as memory, not as messages.
#pragma once
#include "delta.h"
#include "../common/seccomp.h"
#include "spec.h"

enum { MASKS_MAX = 32, PARTS_MAX = 32, LOWER_SIZE = 2048 };

// See split.h.
struct part {
  char name[64];
  char lower[LOWER_SIZE];
};

struct family {
  struct template_spec spec;
  char *scratch;         // a directory of the host on which the private tmpfs may be mounted
  int userns;            // user namespace U
  int channel;           // to the launcher
  int zygote;            // descriptor 3 of the interpreter
  int log;               // its stdout and stderr
  int entries[3];        // control groups of the template: each takes "0"
  size_t entry_count;
  char lower[LOWER_SIZE]; // the layers as the warden mounts them, relative to its root
  char split[16];         // the layer that is in parts; "": none
  struct part parts[PARTS_MAX];
  size_t part_count;
  int deltas[DELTAS_MAX]; // mounts of spec.deltas, not attached yet
  int warm;               // mount of spec.warm
  bool seeded_tmp, seeded_shm; // a branch has something for them: b/0/tmp, b/0/shm
  bool maskable[MASKS_MAX]; // see masks.h: found by the holder, for all sandboxes
  struct filter zygote_filter, sandbox_filter;
};

// What a namespace below the family's own user namespace maps: all of it, as it is.
static inline struct id_range ids_within(const struct family *f) {
  return (struct id_range){0, f->spec.ids.count};
}

// Descriptors that the holder is executed with; the control groups' entries follow.
enum { HOLDER_USERNS = 3, HOLDER_CHANNEL, HOLDER_ZYGOTE, HOLDER_LOG, HOLDER_ENTRIES };

// In the child that the launcher cloned: becomes `forkd-launcher` with argv[0] HOLDER_NAME. The
// descriptors are in the order above, `exe` is this program.
_Noreturn void holder_exec(int exe, const int *fds, size_t count);
#define HOLDER_NAME "forkd"

// The holder's main function: PID 1 of a new pid namespace, in a mount namespace of its own. Its
// first frame is the daemon's L_TEMPLATE with run_dir and the number of entries (fds) added.
_Noreturn void holder_main(void);
// The warden's main function: PID 1 of the template's pid namespace.
_Noreturn void warden_main(struct family *f);
// The child of the warden that becomes the interpreter. `report` takes a struct setup_note when it
// fails and is closed by a successful exec.
_Noreturn void zygote_main(struct family *f, int report);

// Puts the image into the private tmpfs that is the working directory: l/0, l/1, …, above it what
// branched sandboxes had written: b/0, b/1, …, and above that w, what warm-up will have written.
// Fills lower, without w.
int layers_attach(struct family *f, struct error *e);
// Takes hold of the deltas, which lie where the private tmpfs will be mounted.
int deltas_open(struct family *f, struct error *e);
// Copies what is in a directory of the host, with modes, times and, where they can be set, owners.
// (A mount of it would tell its place on the host in /proc/self/mountinfo.)
int tree_copy(const struct family *f, const char *path, const char *to, struct error *e);
// k: directories that the sandbox needs or may write; h: whiteouts over what is hidden of the base.
int skeleton_build(struct family *f, struct error *e);

// Sends ERROR {kind, message} to the launcher.
void family_fail(struct family *f, const struct error *why);
