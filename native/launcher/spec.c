#define _GNU_SOURCE
#include "spec.h"

#include <stdlib.h>
#include <string.h>

#include "../common/cleanup.h"
#include "../common/seccomp.h"

enum { ARGS_MAX = 4096 };

int required_text(const struct frame *f, uint8_t key, const char *what, char **out,
                  struct error *e) {
  if (frame_text(f, key, out, e) < 0) return -1;
  return *out ? 0 : FAIL(e, ERR_INVALID, "frame 0x%02x lacks the field %s", f->type, what);
}

static int get_flag(const struct frame *f, uint8_t key, bool *out, struct error *e) {
  int64_t value;
  if (frame_int(f, key, 0, 0, 1, &value, e) < 0) return -1;
  *out = value == 1;
  return 0;
}

int limits_parse(const struct frame *f, struct limits *out, struct error *e) {
  if (frame_int(f, K_MEMORY_BYTES, 0, 0, INT64_MAX / 2, &out->memory_bytes, e) < 0) return -1;
  if (frame_int(f, K_PIDS_MAX, 0, 0, 4194304, &out->pids_max, e) < 0) return -1;
  if (frame_int(f, K_CPU_MILLIS, 0, 0, 1000000, &out->cpu_millis, e) < 0) return -1;
  return frame_int(f, K_IO_WEIGHT, 0, 0, IO_WEIGHT_MAX, &out->io_weight, e);
}

int file_limits_parse(const struct frame *f, struct file_limits *out, struct error *e) {
  if (frame_int(f, K_DISK_BYTES, 0, 0, INT64_MAX / 2, &out->disk_bytes, e) < 0) return -1;
  if (frame_int(f, K_TMP_BYTES, 0, 0, INT64_MAX / 2, &out->tmp_bytes, e) < 0) return -1;
  return frame_int(f, K_SHM_BYTES, 0, 0, INT64_MAX / 2, &out->shm_bytes, e);
}

// A field whose bytes are fields themselves. frame_next trusts its frame, so they are checked here.
static int open_nested(const struct field *field, struct frame *out, struct error *e) {
  *out = (struct frame){.payload = field->bytes, .payload_length = field->length};
  size_t at = 0;
  while (at < field->length) {
    struct field inner;
    if (field->length - at < 5) break;
    const uint8_t *n = field->bytes + at + 1;
    size_t length = (size_t)n[0] << 24 | (size_t)n[1] << 16 | (size_t)n[2] << 8 | n[3];
    if (length > field->length - at - 5) break;
    frame_next(out, &at, &inner);
  }
  return at == field->length
             ? 0
             : FAIL(e, ERR_INVALID, "field %u: a nested field runs over its end", field->key);
}

static int parse_layer(const struct field *field, struct layer *out, struct error *e) {
  struct frame nested;
  if (open_nested(field, &nested, e) < 0) return -1;
  if (required_text(&nested, K_PATH, "path of a layer", &out->path, e) < 0) return -1;
  if (get_flag(&nested, K_IDMAP, &out->idmap, e) < 0) return -1;
  if (get_flag(&nested, K_COPY, &out->copy, e) < 0) return -1;
  return check_path("the path of a layer", out->path, e);
}

static int parse_layers(const struct frame *f, struct template_spec *out, struct error *e) {
  struct field field;
  size_t cursor = 0;
  while (frame_next(f, &cursor, &field)) {
    if (field.key != K_LAYER) continue;
    if (out->layer_count == LAYERS_MAX)
      return FAIL(e, ERR_INVALID, "a template has at most %d layers", LAYERS_MAX);
    if (parse_layer(&field, &out->layers[out->layer_count++], e) < 0) return -1;
  }
  return out->layer_count ? 0 : FAIL(e, ERR_INVALID, "a template needs at least one layer");
}

static int check_paths(const char *what, char **paths, struct error *e) {
  for (char **at = paths; *at; at++) {
    if (check_path(what, *at, e) < 0) return -1;
    if (!(*at)[1]) return FAIL(e, ERR_INVALID, "%s cannot be /", what);
  }
  return 0;
}

static int parse_command(const struct frame *f, struct template_spec *out, struct error *e) {
  if (frame_texts(f, K_ARGV, ARGS_MAX, &out->argv, e) < 0) return -1;
  if (frame_texts(f, K_ENV, ARGS_MAX, &out->env, e) < 0) return -1;
  if (frame_text(f, K_CWD, &out->cwd, e) < 0) return -1;
  if (!out->cwd && !(out->cwd = strdup("/"))) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  return check_path("cwd", out->cwd, e);
}

static int parse_warm_up(const struct frame *f, struct template_spec *out, struct error *e) {
  struct field field;
  if (!frame_find(f, K_DATA, &field)) return 0;
  out->warm_up = malloc(field.length ? field.length : 1);
  if (!out->warm_up) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  memcpy(out->warm_up, field.bytes, field.length);
  out->warm_up_length = field.length;
  return 0;
}

static int parse_places(const struct frame *f, struct template_spec *out, struct error *e) {
  if (parse_layers(f, out, e) < 0) return -1;
  if (frame_texts(f, K_HIDDEN, PATHS_MAX, &out->hidden, e) < 0) return -1;
  if (check_paths("a hidden path", out->hidden, e) < 0) return -1;
  if (frame_texts(f, K_WRITABLE, PATHS_MAX, &out->writable, e) < 0) return -1;
  if (check_paths("a writable path", out->writable, e) < 0) return -1;
  if (frame_texts(f, K_DELTA, PATHS_MAX, &out->deltas, e) < 0) return -1;
  if (check_paths("a delta", out->deltas, e) < 0) return -1;
  if (frame_text(f, K_WARM, &out->warm, e) < 0) return -1;
  if (out->warm && check_path("a delta", out->warm, e) < 0) return -1;
  if (required_text(f, K_RUNTIME_DIR, "runtime_dir", &out->runtime_dir, e) < 0) return -1;
  if (check_path("runtime_dir", out->runtime_dir, e) < 0) return -1;
  if (frame_text(f, K_FRONT, &out->front, e) < 0) return -1;
  return out->front ? check_path("front", out->front, e) : 0;
}

// An ordinary user has one id to give, whatever range was asked for; its files are the sandbox's
// root's as they are.
static void use_single_id(struct template_spec *spec) {
  spec->ids = (struct id_range){0, 1};
  for (size_t i = 0; i < spec->layer_count; i++) spec->layers[i].idmap = false;
}

int template_spec_parse(const struct frame *f, struct template_spec *out, struct error *e) {
  int64_t base;
  *out = (struct template_spec){0};
  if (required_text(f, K_NAME, "name", &out->name, e) < 0) return -1;
  if (check_name("the name of a template", out->name, e) < 0) return -1;
  if (parse_places(f, out, e) < 0 || parse_command(f, out, e) < 0) return -1;
  if (parse_warm_up(f, out, e) < 0) return -1;
  if (frame_text(f, K_HOSTNAME, &out->hostname, e) < 0) return -1;
  if (!out->hostname && !(out->hostname = strdup("template")))
    return FAIL(e, ERR_EXHAUSTED, "out of memory");
  if (check_hostname(out->hostname, e) < 0) return -1;
  // Below 65536 the range would overlap the host's own users.
  if (frame_int(f, K_UID_BASE, 0, ID_RANGE, 4294967295 - 2 * (int64_t)ID_RANGE, &base, e) < 0)
    return -1;
  if (base == 0) return FAIL(e, ERR_INVALID, "a template needs uid_base");
  out->uid_base = (uid_t)base;
  out->ids = (struct id_range){out->uid_base, ID_RANGE};
  if (userns_is_single()) use_single_id(out);
  if (frame_int(f, K_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, 1, TIMEOUT_MAX_MS, &out->timeout_ms, e) < 0)
    return -1;
  if (frame_int(f, K_OPEN_FILES, 0, 0, OPEN_FILES_MAX, &out->open_files, e) < 0) return -1;
  if (frame_texts(f, K_SYSCALLS, SYSCALLS_MAX, &out->syscalls, e) < 0) return -1;
  if (filter_check(out->syscalls, e) < 0) return -1;
  return limits_parse(f, &out->limits, e);
}

void template_spec_free(struct template_spec *spec) {
  for (size_t i = 0; i < spec->layer_count; i++) free(spec->layers[i].path);
  text_list_free(&spec->hidden);
  text_list_free(&spec->writable);
  text_list_free(&spec->deltas);
  text_list_free(&spec->syscalls);
  free(spec->warm);
  text_list_free(&spec->argv);
  text_list_free(&spec->env);
  free(spec->name);
  free(spec->cwd);
  free(spec->hostname);
  free(spec->runtime_dir);
  free(spec->front);
  free(spec->warm_up);
  *spec = (struct template_spec){0};
}

static int parse_child(const struct field *field, struct child_spec *out, struct error *e) {
  struct frame nested;
  if (open_nested(field, &nested, e) < 0) return -1;
  if (required_text(&nested, K_NAME, "name of a child", &out->name, e) < 0) return -1;
  if (check_name("the name of a sandbox", out->name, e) < 0) return -1;
  if (required_text(&nested, K_HOSTNAME, "hostname of a child", &out->hostname, e) < 0)
    return -1;
  if (check_hostname(out->hostname, e) < 0) return -1;
  if (required_text(&nested, K_MACHINE_ID, "machine_id of a child", &out->machine_id, e) < 0)
    return -1;
  if (!is_hex(out->machine_id, strnlen(out->machine_id, 32)) || strlen(out->machine_id) != 32)
    return FAIL(e, ERR_INVALID, "machine_id of %s must be 32 hexadecimal digits", out->name);
  return 0;
}

static size_t count_fields(const struct frame *f, uint8_t key) {
  struct field field;
  size_t cursor = 0, count = 0;
  while (frame_next(f, &cursor, &field)) count += field.key == key;
  return count;
}

static int parse_children(const struct frame *f, struct fork_spec *out, struct error *e) {
  struct field field;
  size_t cursor = 0, count = count_fields(f, K_CHILD);
  if (count == 0 || count > CHILDREN_MAX)
    return FAIL(e, ERR_INVALID, "a fork makes 1 to %d children, not %zu", CHILDREN_MAX, count);
  out->children = calloc(count, sizeof *out->children);
  if (!out->children) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  out->count = count;
  count = 0;
  while (frame_next(f, &cursor, &field))
    if (field.key == K_CHILD && parse_child(&field, &out->children[count++], e) < 0) return -1;
  return 0;
}

int fork_spec_parse(const struct frame *f, struct fork_spec *out, struct error *e) {
  *out = (struct fork_spec){0};
  if (required_text(f, K_TEMPLATE, "template", &out->template, e) < 0) return -1;
  if (check_name("the name of a template", out->template, e) < 0) return -1;
  if (parse_children(f, out, e) < 0) return -1;
  if (limits_parse(f, &out->limits, e) < 0 || file_limits_parse(f, &out->files, e) < 0) return -1;
  return frame_int(f, K_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, 1, TIMEOUT_MAX_MS, &out->timeout_ms, e);
}

void fork_spec_free(struct fork_spec *spec) {
  for (size_t i = 0; i < spec->count; i++) {
    free(spec->children[i].name);
    free(spec->children[i].hostname);
    free(spec->children[i].machine_id);
  }
  free(spec->children);
  free(spec->template);
  *spec = (struct fork_spec){0};
}
