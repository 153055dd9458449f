#include "assert.h"

static int run_all(const struct test *tests) {
  int n = 0;
  for (; tests[n].run; n++) tests[n].run();
  return n;
}

int main(void) {
  int n = run_all(frame_tests) + run_all(channel_tests) + run_all(loop_tests) +
          run_all(users_tests);
  printf("%d unit tests passed\n", n);
  return 0;
}
