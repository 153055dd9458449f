// IDENTITY: what makes a copy of a virtual machine one of its own.
#pragma once
#include "agent.h"
#include "connection.h"

int identity_take(struct connection *c, const struct frame *f, struct error *e);
// Adds to PONG how many programs the guest's kernel has killed for want of memory.
void identity_tell_kills(const struct agent_guest *guest, struct frame_writer *w);
