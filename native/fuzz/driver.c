// A small coverage-guided driver for machines without clang: runs the corpus, then mutations of it,
// and keeps (in memory) those that reach new code. The same seed makes the same run.
//   driver FILE...                          runs these inputs once
//   driver CORPUS_DIR SECONDS CRASH [SEED]  fuzzes; an input that fails is left in the file CRASH
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

enum { INPUT_MAX = 16384, CORPUS_MAX = 20000, MAP_SIZE = 65536, HANG_SECONDS = 20 };

struct input {
  uint8_t *bytes;
  size_t size;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_size;
static uint8_t covered[MAP_SIZE], everything[MAP_SIZE];
static uint64_t random_state = 1;
static int crash_fd = -1;

void __sanitizer_cov_trace_pc(void);

// Called by the instrumented code at every edge.
void __sanitizer_cov_trace_pc(void) {
  uintptr_t at = (uintptr_t)__builtin_return_address(0);
  covered[(at ^ at >> 16) % MAP_SIZE] = 1;
}

static uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return n ? (uint32_t)(random_state >> 32) % n : 0;
}

static void keep(const uint8_t *bytes, size_t size) {
  if (corpus_size == CORPUS_MAX) return;
  struct input *kept = &corpus[corpus_size++];
  kept->bytes = malloc(size + 1);
  kept->size = size;
  memcpy(kept->bytes, bytes, size);
}

// Written before it runs: a sanitizer ends the process on the spot.
static int run(const uint8_t *bytes, size_t size) {
  int news = 0;
  uint8_t *exact = malloc(size); // so that ASan sees a read past the end
  memcpy(exact, bytes, size);
  if (crash_fd >= 0 && (ftruncate(crash_fd, 0) < 0 || pwrite(crash_fd, bytes, size, 0) < 0))
    perror("driver: the crash file");
  memset(covered, 0, sizeof covered);
  alarm(HANG_SECONDS);
  LLVMFuzzerTestOneInput(exact, size);
  alarm(0);
  free(exact);
  for (size_t i = 0; i < MAP_SIZE; i++) {
    news |= covered[i] & !everything[i];
    everything[i] |= covered[i];
  }
  return news;
}

static size_t insert_other(uint8_t *out, size_t size) {
  const struct input *other = &corpus[random_below((uint32_t)corpus_size)];
  size_t from = random_below((uint32_t)other->size);
  size_t n = random_below((uint32_t)(other->size - from)) + 1;
  size_t at = random_below((uint32_t)size + 1);
  if (other->size == 0 || size + n > INPUT_MAX) return size;
  memmove(out + at + n, out + at, size - at);
  memcpy(out + at, other->bytes + from, n);
  return size + n;
}

static size_t mutate_once(uint8_t *out, size_t size) {
  static const uint8_t interesting[] = {0, 1, 2, 5, 9, 127, 128, 255, 0x40, 0x45, 0x47, 0x49};
  size_t at = random_below((uint32_t)size), n;
  if (size == 0) return insert_other(out, size);
  switch (random_below(7)) {
    case 0: out[at] ^= (uint8_t)(1 << random_below(8)); break;
    case 1: out[at] = interesting[random_below(sizeof interesting)]; break;
    case 2: out[at] = (uint8_t)(out[at] + random_below(9) - 4); break;
    case 3:
      n = random_below((uint32_t)(size - at)) % 64 + 1;
      if (n > size - at) n = size - at;
      memmove(out + at, out + at + n, size - at - n);
      return size - n;
    case 4:
    case 5: return insert_other(out, size);
    default:
      for (n = 0; n < 4 && at + n < size; n++) out[at + n] = (uint8_t)random_below(256);
  }
  return size;
}

static void load(const char *path) {
  static uint8_t bytes[INPUT_MAX];
  int fd = open(path, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
  if (n < 0) {
    perror(path);
    exit(2);
  }
  close(fd);
  keep(bytes, (size_t)n);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_directory(const char *path) {
  struct dirent **names;
  char file[4096];
  int n = scandir(path, &names, NULL, by_name);
  for (int i = 0; i < n; i++) {
    snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
    if (names[i]->d_name[0] != '.') load(file);
    free(names[i]);
  }
  if (n >= 0) free(names);
}

static void fuzz(const char *directory, int seconds) {
  static uint8_t bytes[INPUT_MAX];
  unsigned long runs = 0;
  size_t given = corpus_size;
  time_t end = time(NULL) + seconds;
  for (; time(NULL) < end; runs++) {
    const struct input *from = &corpus[random_below((uint32_t)corpus_size)];
    size_t size = from->size;
    memcpy(bytes, from->bytes, size);
    for (uint32_t i = random_below(6) + 1; i > 0; i--) size = mutate_once(bytes, size);
    if (run(bytes, size)) keep(bytes, size);
  }
  size_t edges = 0;
  for (size_t i = 0; i < MAP_SIZE; i++) edges += everything[i];
  printf("%s: %lu runs, %zu inputs given, %zu found, %zu edges, no failure\n", directory, runs,
         given, corpus_size - given, edges);
}

int main(int argc, char **argv) {
  struct stat st;
  if (argc < 2 || stat(argv[1], &st) < 0) return 2;
  if (S_ISDIR(st.st_mode)) {
    if (argc < 4) return 2;
    load_directory(argv[1]);
    crash_fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (argc > 4) random_state = strtoull(argv[4], NULL, 10) * 2 + 1;
  } else {
    for (int i = 1; i < argc; i++) load(argv[i]);
  }
  LLVMFuzzerInitialize(&argc, &argv);
  for (size_t i = 0, n = corpus_size; i < n; i++) run(corpus[i].bytes, corpus[i].size);
  if (S_ISDIR(st.st_mode)) {
    fuzz(argv[1], atoi(argv[2]));
    if (ftruncate(crash_fd, 0) < 0) return 1;
  }
  for (size_t i = 0; i < corpus_size; i++) free(corpus[i].bytes);
  return 0;
}
