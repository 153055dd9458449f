// Networks of sandboxes, for the daemon.
//
//   forkd-net add DIR local|nat tap|pair
//   forkd-net remove DIR NAME
//   forkd-net sweep DIR
//   forkd-net plug NAME PID
//   forkd-net unplug PID
//   forkd-net rules NAME            (what is let through on stdin: see rules.c)
//   forkd-net refused NAME
//   forkd-net questions NAME        (of names, to the daemon: see questions.c)
//   forkd-net forward NAME ADDRESS PORT TARGET
#include <stdio.h>
#include <string.h>

#include "net.h"

static int dispatch(int argc, char **argv, struct error *e) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (strcmp(verb, "add") == 0 && argc == 5) return net_add(argv[2], argv[3], argv[4], e);
  if (strcmp(verb, "remove") == 0 && argc == 4) return net_remove(argv[2], argv[3], e);
  if (strcmp(verb, "sweep") == 0 && argc == 3) return net_sweep(argv[2], e);
  if (strcmp(verb, "plug") == 0 && argc == 4) return plug(argv[2], argv[3], e);
  if (strcmp(verb, "unplug") == 0 && argc == 3) return unplug(argv[2], e);
  if (strcmp(verb, "rules") == 0 && argc == 3) return rules_replace(argv[2], e);
  if (strcmp(verb, "refused") == 0 && argc == 3) return rules_refused(argv[2], e);
  if (strcmp(verb, "questions") == 0 && argc == 3) return questions(argv[2], e);
  if (strcmp(verb, "forward") == 0 && argc == 6)
    return forward(argv[2], argv[3], argv[4], argv[5], e);
  return FAIL(e, ERR_INVALID,
              "add, remove, sweep, plug, unplug, rules, refused, questions or forward?");
}

int main(int argc, char **argv) {
  struct error e;
  int state = dispatch(argc, argv, &e);
  if (state < 0) fprintf(stderr, "forkd-net: %s\n", e.message);
  return state < 0 ? 1 : 0;
}
