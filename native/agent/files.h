// READ_FILE and WRITE_FILE.
#pragma once
#include "../common/frame.h"

struct connection;

int file_read(struct connection *c, const struct frame *f, struct error *e);
int file_write(struct connection *c, const struct frame *f, struct error *e);
// The path of the request: present and absolute. Free it.
int file_path(const struct frame *f, char **out, struct error *e);
