// What warm-up has written is part of the snapshot: it becomes the layer above the image in every
// sandbox, and what their /tmp and /dev/shm begin with.
//
// It is copied, once: the zygote goes on with the layer that it has written to, and a layer that
// somebody writes to must not lie below another overlay (Documentation/filesystems/overlayfs.rst,
// "Changes to underlying filesystems").
#pragma once
#include "../common/frame.h"
#include "delta.h"
#include "job.h"
#include "written.h"

struct launcher;
struct template;

struct warm_files {
  struct delta *delta;  // NULL: nothing was written
  struct written plan;  // of the job
  struct buffer warmed; // WARMED as the zygote said it
};

// Before the template's processes start: where the files will be.
int warm_files_prepare(struct launcher *l, struct template *t, struct error *e);
// The zygote says that it is warm. The template is ready, or ends, when all is copied.
int warm_files_freeze(struct launcher *l, struct template *t, const struct frame *warmed,
                      struct error *e);
// What the job has done.
void warm_files_frozen(struct launcher *l, struct template *t, const struct job_result *result);
void warm_files_free(struct warm_files *w);
