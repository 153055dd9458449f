// The whole test harness: CHECK says what failed and where; main runs every test of the list.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

struct test {
  const char *name;
  void (*run)(void);
};
#define TEST(function) {#function, function}

extern const struct test frame_tests[], channel_tests[], loop_tests[], users_tests[];
