// A template that is made of a running sandbox instead of an image.
//
// A copy of the sandbox's eval session, which that forked itself, is frozen (it pauses). Its files
// are copied first, while the daemon keeps the session from going on; everything else does not
// touch the sandbox any more. A fresh fork of the zygote that the sandbox descends from enters a
// family of its own, in a user namespace below the zygote's, and there becomes the frozen copy's
// twin (transplant.h). It is the new template's zygote.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "../common/frame.h"
#include "delta.h"
#include "job.h"
#include "written.h"
#include "protocol.h"

struct launcher;
struct template;
struct sandbox;

enum branch_step {
  B_FILES,
  B_BUILDING,
  B_SEED_DUE,   // the root's zygote has not been told yet
  B_SEEDING,    // it has; two things are to be heard, on two channels
  B_TRANSPLANT,
  B_DONE,
};


struct branch {
  char root[NAME_MAX_LENGTH + 1]; // the template that was warmed, not branched
  enum branch_step step;
  struct delta *deltas[DELTAS_MAX]; // newest first
  size_t delta_count, links;       // links: branches from here to the root
  struct buffer request;           // L_TEMPLATE as the holder gets it
  pid_t frozen;
  int frozen_pidfd, agent_pidfd;
  int upper;                       // of the sandbox: a copy of its descriptor
  int near, far;                   // ends of the zygote's channel until somebody has them
  int log;                         // the zygote's output
  uint32_t serial;                 // of the request to the root's zygote
  bool entered, parked;
  struct written files;            // what the first job copies
  int64_t copied, resident;        // bytes
};

// L_BRANCH.
int branch_begin(struct launcher *l, const struct frame *f, struct error *e);
// Its stand-in is there.
void branch_started(struct launcher *l, struct template *t);
// Its zygote waits to become another.
int branch_parked(struct template *t, struct error *e);
// What the root's zygote says; false: it has not been asked for a branch.
bool branch_entered(struct launcher *l, struct template *root, const struct frame *f);
bool branch_refused(struct launcher *l, struct template *root, const struct frame *f,
                    const struct error *why);
bool branch_left(struct launcher *l, const char *name);
// What its job has done.
void branch_job(struct launcher *l, struct template *t, const struct job_result *result);
// Asks again what could not be asked; gives the root's zygote its request.
void branch_tick(struct launcher *l, struct template *t);
// It ends: nothing of it may go on.
void branch_stop(struct branch *b);
void branch_free(struct branch *b);
