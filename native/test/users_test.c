#include "../agent/users.h"

#include "assert.h"

static struct error e;
static struct identity who;

static void nobody_is_asked_for_no_change(void) {
  CHECK(identity_resolve(NULL, &who, &e) == 0 && !who.change);
}

static void numbers_need_no_account(void) {
  CHECK(identity_resolve("123:456", &who, &e) == 0);
  CHECK(who.change && who.uid == 123 && who.gid == 456 && who.group_count == 0);
  CHECK(identity_resolve("4000000000", &who, &e) == 0);
  CHECK(who.uid == 4000000000U && who.gid == 0);
}

static void names_come_from_the_account_file(void) {
  CHECK(identity_resolve("root", &who, &e) == 0 && who.uid == 0 && who.gid == 0);
  CHECK(identity_resolve("0", &who, &e) == 0 && who.uid == 0);
  CHECK(identity_resolve("no such user", &who, &e) == -1 && e.kind == ERR_INVALID);
  CHECK(strstr(e.message, "no such user"));
}

static void nonsense_is_refused(void) {
  static const char *const bad[] = {"", ":", "1:", ":1", "1:2:3", "-1:0", "root:0", "1:-1",
                                    "4294967295:0", "99999999999:0", "0x1:0", " 1:0"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(identity_resolve(bad[i], &who, &e) == -1 && e.kind == ERR_INVALID);
}

const struct test users_tests[] = {TEST(nobody_is_asked_for_no_change),
                                   TEST(numbers_need_no_account),
                                   TEST(names_come_from_the_account_file),
                                   TEST(nonsense_is_refused),
                                   {NULL, NULL}};
