// Frame types and field keys of the launcher's channels: docs/process-engine.md.
#pragma once
#include "../common/frame.h"

enum launcher_frame {
  L_HELLO = 0x20, L_TEMPLATE = 0x21, L_DISCARD = 0x22, L_FORK = 0x23, L_DESTROY = 0x24,
  L_LIMIT = 0x25, L_USAGE = 0x26, L_BRANCH = 0x27,
  L_ADOPT = 0x28, L_STOP = 0x29,
  L_WELCOME = 0xA0, L_LOG = 0xA1, L_TEMPLATE_READY = 0xA2, L_FORKED = 0xA3, L_DESTROYED = 0xA4,
  L_SANDBOX_ENDED = 0xA5, L_RUNTIME_LOST = 0xA6, L_TEMPLATE_ENDED = 0xA7,
  L_USED = 0xA8, L_ADOPTED = 0xA9,
};

enum zygote_frame {
  Z_WARM = 0x30, Z_ENTER = 0x31, Z_SEED = 0x32,
  Z_WARMED = 0xB0, Z_ENTERED = 0xB1, Z_LEFT = 0xB2, Z_PARKED = 0xB3,
};

// Between the launcher and a warden (both are this program). The id is the sandbox's serial.
enum warden_frame {
  W_CREATE = 0x50, // hostname, machine_id, limits of its file systems; descriptors: see fork.c
  W_ABORT = 0x51,  // kill a sandbox that is still being made
  W_STARTED = 0xD0, // the interpreter is executed; descriptors: pidfd, its writable layer
  W_CREATED = 0xD1, // descriptors: the agent's pidfd, its writable layer
  W_FAILED = 0xD2,  // kind, message; nothing of the sandbox is left
  W_ENDED = 0xD3,   // exit_code or signal of an agent
  W_ZYGOTE_ENDED = 0xD4, // exit_code or signal
  W_ORPHAN_ENDED = 0xD5, // id: pid in the template; a runtime whose zygote had died before it
};

enum launcher_key {
  K_RUN_DIR = 64, K_INSTANCE, K_LAYER, K_IDMAP, K_COPY, K_HIDDEN, K_WRITABLE, K_UID_BASE,
  K_MEMORY_BYTES, K_PIDS_MAX, K_CPU_MILLIS, K_DISK_BYTES, K_TMP_BYTES, K_SHM_BYTES, K_TEMPLATE,
  K_CHILD, K_MACHINE_ID, K_OUTCOME, K_RUNTIME_PID, K_OOM_KILLS, K_RUNTIME_DIR, K_HOSTNAME,
  K_FRONT = 90, K_DELTA = 92, K_RESIDENT, K_WARM, K_OPEN_FILES, K_BUILD, K_SYSCALLS,
  K_IO_WEIGHT,
};

// Of the name under which a zygote knows a fork that became the zygote of a branch: no sandbox can
// be called so.
#define BRANCH_PREFIX "branch:"

enum {
  ID_RANGE = 65536,       // uids and gids of one user namespace
  NAME_MAX_LENGTH = 64,   // of a template or sandbox
  LAYERS_MAX = 64,
  PATHS_MAX = 256,        // hidden, writable
  SYSCALLS_MAX = 64,
  OPEN_FILES_MAX = 65536,
  IO_WEIGHT_MAX = 1000,   // of the kernel's BFQ scheduler; io.weight alone goes further
  IO_WEIGHT_USUAL = 100,
  CHILDREN_MAX = 1024,    // of one L_FORK
  DEFAULT_TIMEOUT_MS = 60000,
  TIMEOUT_MAX_MS = 3600000,
};
