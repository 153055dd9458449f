// Files and directories of the sandbox.
#pragma once
#include "../common/frame.h"

struct connection;

int file_read(struct connection *c, const struct frame *f, struct error *e);
int file_write(struct connection *c, const struct frame *f, struct error *e);
int path_stat(struct connection *c, const struct frame *f, struct error *e);
int path_list(struct connection *c, const struct frame *f, struct error *e);
int path_make(struct connection *c, const struct frame *f, struct error *e);
int path_remove(struct connection *c, const struct frame *f, struct error *e);
int path_link(struct connection *c, const struct frame *f, struct error *e);
// The path of the request: present and absolute. Free it.
int file_path(const struct frame *f, char **out, struct error *e);
// Makes every directory on the way to the path, which is changed meanwhile and then as before.
int file_make_parents(char *path, struct error *e);
