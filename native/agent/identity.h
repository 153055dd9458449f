// IDENTITY: what makes a copy of a virtual machine one of its own.
#pragma once
#include "connection.h"

int identity_take(struct connection *c, const struct frame *f, struct error *e);
