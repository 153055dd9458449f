#define _GNU_SOURCE
#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "cgroup_ops.h"

const char *const controller_names[C_COUNT] = {"memory", "pids", "cpu", "io"};

static void warn(struct cgroups *all, const char *controller, const char *why) {
  size_t used = strlen(all->warning);
  snprintf(all->warning + used, sizeof all->warning - used, "%s%s: %s", used ? "; " : "",
           controller, why);
}

static void remember_stale(struct cgroups *all, const char *name) {
  size_t n = 0;
  while (all->stale && all->stale[n]) n++;
  char **grown = realloc(all->stale, (n + 2) * sizeof *grown);
  if (!grown) return;
  all->stale = grown;
  grown[n] = strdup(name);
  grown[n + 1] = NULL;
}

// Only groups without processes go; those of a living namesake are busy and stay.
static void remove_stale(struct cgroups *all, int base) {
  int copy = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (!dir) return;
  struct dirent *entry;
  while ((entry = readdir(dir))) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (unlinkat(base, entry->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY)
      remember_stale(all, entry->d_name);
  }
  closedir(dir);
}

// That of the files which this kernel has, or NULL.
static const char *io_file(const struct cgroup_ops *ops, int dir) {
  const char *const *file = ops->io_files;
  while (*file && faccessat(dir, *file, F_OK, 0) < 0) file++;
  return *file;
}

// Weights need a scheduler of the kernel that not every one is built with.
static void drop_io_without_weights(struct cgroups *all) {
  if (all->base[C_IO] < 0 || io_file(all->ops, all->base[C_IO])) return;
  close(all->base[C_IO]);
  all->base[C_IO] = -1;
  warn(all, controller_names[C_IO], "this kernel has no weights of it");
}

int cgroup_set_io(int dir, const struct cgroup_ops *ops, int64_t weight, struct error *e) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)(weight ? weight : IO_WEIGHT_USUAL));
  const char *file = io_file(ops, dir);
  return file ? write_text(dir, file, text, e)
              : FAIL(e, ERR_UNSUPPORTED, "this kernel has no weights of io");
}

static void open_base(struct cgroups *all, enum controller c) {
  int parent = all->parent[c];
  if (mkdirat(parent, all->name, 0755) < 0 && errno != EEXIST) {
    warn(all, controller_names[c], strerror(errno));
    return;
  }
  all->base[c] = openat(parent, all->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (all->base[c] < 0) warn(all, controller_names[c], strerror(errno));
}

void cgroups_open(struct cgroups *all, const char *instance) {
  cgroups_attach(all, instance);
  cgroups_sweep(all);
}

void cgroups_sweep(struct cgroups *all) {
  for (enum controller c = 0; c < C_COUNT; c++)
    if (all->base[c] >= 0) remove_stale(all, all->base[c]);
}

static void forget_stale(struct cgroups *all) {
  for (char **name = all->stale; name && *name; name++) free(*name);
  free(all->stale);
  all->stale = NULL;
}

void cgroups_retry(struct cgroups *all) {
  if (!all->stale) return;
  bool busy = false;
  for (char **name = all->stale; *name; name++)
    for (enum controller c = 0; c < C_COUNT; c++)
      if (all->base[c] >= 0 && unlinkat(all->base[c], *name, AT_REMOVEDIR) < 0)
        busy |= errno == EBUSY;
  if (!busy) forget_stale(all);
}

void cgroups_attach(struct cgroups *all, const char *instance) {
  *all = (struct cgroups){.ops = NULL};
  for (int c = 0; c < C_COUNT; c++) all->parent[c] = all->base[c] = -1;
  snprintf(all->name, sizeof all->name, "forkd-%s", instance);
  if (cgroup_v1_find(all)) all->ops = &cgroup_v1_ops;
  else if (cgroup_v2_find(all)) all->ops = &cgroup_v2_ops;
  for (enum controller c = 0; c < C_COUNT; c++) {
    if (all->parent[c] >= 0) open_base(all, c);
    else warn(all, controller_names[c], "no such controller here");
  }
  if (all->ops == &cgroup_v2_ops) cgroup_v2_enable(all);
  drop_io_without_weights(all);
}

void cgroups_close(struct cgroups *all) {
  cgroups_retry(all);
  forget_stale(all);
  for (int c = 0; c < C_COUNT; c++) {
    if (all->base[c] >= 0) {
      close(all->base[c]);
      unlinkat(all->parent[c], all->name, AT_REMOVEDIR);
    }
    if (all->parent[c] >= 0) close(all->parent[c]);
    all->base[c] = all->parent[c] = -1;
  }
}

const char *cgroups_version(const struct cgroups *all) {
  return all->ops ? all->ops->version : "none";
}

static int64_t limit_of(const struct limits *l, enum controller c) {
  switch (c) {
    case C_MEMORY: return l->memory_bytes;
    case C_PIDS: return l->pids_max;
    case C_CPU: return l->cpu_millis;
    default: return l->io_weight;
  }
}

static int open_group(const struct cgroups *all, const struct cgroup *g, enum controller c) {
  return openat(all->base[c], g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int set_limit(const struct cgroups *all, const struct cgroup *g, enum controller c,
                     int64_t value, struct error *e) {
  cleanup_fd int dir = open_group(all, g, c);
  if (dir < 0) return FAIL_ERRNO(e, "opening the %s group %s", controller_names[c], g->name);
  return all->ops->set(dir, c, value, e);
}

static bool has_any(const struct cgroup *g) {
  for (enum controller c = 0; c < C_COUNT; c++)
    if (g->present[c]) return true;
  return false;
}

static int create_one(struct cgroups *all, struct cgroup *g, enum controller c, int64_t value,
                      struct error *e) {
  if (all->base[c] < 0)
    return FAIL(e, ERR_UNSUPPORTED, "a %s limit cannot be set: the controller is not available",
                controller_names[c]);
  bool shared = all->ops->one_hierarchy && has_any(g);
  if (!shared && mkdirat(all->base[c], g->name, 0755) < 0)
    return FAIL_ERRNO(e, "creating the %s group %s", controller_names[c], g->name);
  g->present[c] = true;
  return set_limit(all, g, c, value, e);
}

int cgroup_create(struct cgroups *all, struct cgroup *g, const char *name,
                  const struct limits *limits, struct error *e) {
  *g = (struct cgroup){.present = {false}};
  for (char **stale = all->stale; stale && *stale; stale++)
    if (strcmp(*stale, name) == 0) return FAIL(e, ERR_EXISTS, "the group %s is still in use", name);
  snprintf(g->name, sizeof g->name, "%s", name);
  for (enum controller c = 0; c < C_COUNT; c++) {
    int64_t value = limit_of(limits, c);
    if (value == 0 || all->base[c] < 0 || create_one(all, g, c, value, e) == 0) continue;
    cgroup_remove(all, g); // nothing is in it yet: cannot be busy
    return -1;
  }
  return 0;
}

int cgroup_open_entries(const struct cgroups *all, const struct cgroup *g, int *fds, size_t *count,
                        struct error *e) {
  *count = 0;
  for (enum controller c = 0; c < C_COUNT; c++) {
    if (!g->present[c] || (all->ops->one_hierarchy && *count)) continue;
    cleanup_fd int dir = open_group(all, g, c);
    int fd = dir < 0 ? -1 : openat(dir, all->ops->entry_file, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      FAIL_ERRNO(e, "opening the %s group %s", controller_names[c], g->name);
      while (*count) close(fds[--*count]);
      return -1;
    }
    fds[(*count)++] = fd;
  }
  return 0;
}

static int limit_late(struct cgroups *all, struct cgroup *g, enum controller c, int64_t value,
                      pid_t agent, struct error *e) {
  bool had_group = all->ops && all->ops->one_hierarchy && has_any(g);
  if (create_one(all, g, c, value, e) < 0) return -1;
  if (had_group) return 0;
  cleanup_fd int dir = open_group(all, g, c);
  if (dir < 0) return FAIL_ERRNO(e, "opening the %s group %s", controller_names[c], g->name);
  return cgroup_move_namespace(dir, agent, e);
}

int cgroup_limit(struct cgroups *all, struct cgroup *g, const struct limits *limits, pid_t agent,
                 struct error *e) {
  for (enum controller c = 0; c < C_COUNT; c++) {
    int64_t value = limit_of(limits, c);
    if (g->present[c]) {
      if (set_limit(all, g, c, value, e) < 0) return -1;
    } else if (value && limit_late(all, g, c, value, agent, e) < 0) {
      return -1;
    }
  }
  return 0;
}

int64_t cgroup_oom_kills(const struct cgroups *all, const struct cgroup *g) {
  char text[1024];
  struct error ignored;
  if (!g->present[C_MEMORY]) return 0;
  cleanup_fd int dir = open_group(all, g, C_MEMORY);
  if (dir < 0 || read_text(dir, all->ops->oom_file, text, sizeof text, &ignored) < 0) return 0;
  for (char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    size_t n = strlen(all->ops->oom_key);
    if (strncmp(line, all->ops->oom_key, n) == 0) return strtoll(line + n, NULL, 10);
    if (!*line) break;
  }
  return 0;
}

int cgroup_remove(const struct cgroups *all, struct cgroup *g) {
  int result = 1;
  for (enum controller c = 0; c < C_COUNT; c++) {
    if (!g->present[c]) continue;
    if (unlinkat(all->base[c], g->name, AT_REMOVEDIR) < 0 && errno == EBUSY) result = 0;
    else g->present[c] = false;
  }
  return result;
}
