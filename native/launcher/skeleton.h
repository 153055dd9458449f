// What the layers of an image hold, and how the topmost one is filled. Paths are without their
// first slash.
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "family.h"

struct look {
  struct stat st;
  bool found, idmap;
  size_t layer;
};

// The topmost layer that has the path decides, as the overlay will.
struct look skeleton_look_up(const struct family *f, const char *path);
// Every directory that leads there is one, and no link.
bool skeleton_way_is_plain(const struct family *f, const char *path);
// Within the layer of the look.
ssize_t skeleton_read_link(const struct look *look, const char *path, char *target, size_t size);
int skeleton_open(const struct look *look, const char *path);
// Makes the directories that lead to a path (and the path itself when `whole`).
// 1: a parent is hidden already; 0: done.
int skeleton_make_way(const struct family *f, int dir, const char *path, bool whole,
                      struct error *e);

// front.c: nothing happens where the template has no front, or its interpreter is not found.
int front_place(struct family *f, int dir, struct error *e);
