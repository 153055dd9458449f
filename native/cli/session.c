#define _GNU_SOURCE
#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "request.h"

enum { START_TIMEOUT_MS = 5000, STDIN_CHUNK = 32768 };

struct session {
  struct channel channel;
  bool started;       // the daemon runs the command: from here on nobody else may
  bool input_ended;
  bool output_broken; // nobody reads our output
  bool deaf;          // the daemon takes nothing more; what it has sent still counts
  int64_t credit;     // bytes of stdin that the daemon will take; none before it reads
  int last_signal;
  int exit_code;      // -1 while it runs
  bool raw;           // the terminal hands every key on
  struct termios before;
};

// Only the number is kept: a second SIGINT before the first was sent is the same wish.
static volatile sig_atomic_t pending_signal;
static volatile sig_atomic_t pending_resize;
static int wake_pipe[2] = {-1, -1};

static void on_signal(int number) {
  int saved = errno;
  if (number == SIGWINCH) pending_resize = 1;
  else pending_signal = number;
  (void)!write(wake_pipe[1], "", 1);
  errno = saved;
}

static int catch_signals(struct error *e) {
  static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
  if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) < 0) return FAIL_ERRNO(e, "pipe2");
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
    // No SA_RESTART: a write to a full pipe must come back, so that the signal gets through.
    struct sigaction action = {.sa_handler = on_signal}, old;
    if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    if (sigaction(caught[i], &action, NULL) < 0) return FAIL_ERRNO(e, "sigaction");
  }
  signal(SIGPIPE, SIG_IGN);
  return 0;
}

// The daemon hangs up after the exit code, maybe while we still have windows to send: that is no
// failure, and the exit code is still to be read.
static void flush(struct session *s) {
  struct error deaf;
  if (!s->deaf && channel_flush(&s->channel, &deaf) < 0) s->deaf = true;
  if (s->deaf) buffer_consume(&s->channel.output, s->channel.output.length);
}

static void drain_wake_pipe(void) {
  char drop[16];
  while (read(wake_pipe[0], drop, sizeof drop) > 0) continue;
}

static int send_signal(struct session *s, struct error *e) {
  drain_wake_pipe();
  int number = pending_signal;
  if (!number) return 0;
  pending_signal = 0;
  s->last_signal = number;
  struct frame_writer w = frame_begin(&s->channel.output, F_SIGNAL, 1);
  put_int(&w, K_SIGNAL, number);
  return frame_end(&w, e);
}

static int send_size(struct session *s, struct error *e) {
  struct winsize size;
  if (pending_resize) drain_wake_pipe();
  pending_resize = 0;
  if (!s->raw || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
    return 0;
  struct frame_writer w = frame_begin(&s->channel.output, F_RESIZE, 1);
  put_int(&w, K_ROWS, size.ws_row);
  put_int(&w, K_COLUMNS, size.ws_col);
  return frame_end(&w, e);
}

// From here on keys are for the program in the sandbox, also those that would be signals to us.
static int make_raw(struct session *s, struct error *e) {
  struct termios raw;
  if (s->raw || tcgetattr(STDIN_FILENO, &s->before) < 0) return 0;
  raw = s->before;
  cfmakeraw(&raw);
  s->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  return send_size(s, e);
}

static void restore(struct session *s) {
  if (s->raw) tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
  s->raw = false;
}

// Sends one piece of stdin, or its end.
static int send_input(struct session *s, struct error *e) {
  uint8_t chunk[STDIN_CHUNK];
  size_t wanted = s->credit < STDIN_CHUNK ? (size_t)s->credit : sizeof chunk;
  ssize_t n = read(STDIN_FILENO, chunk, wanted);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return 0;
  struct frame_writer w = frame_begin(&s->channel.output, F_INPUT, 1);
  if (n > 0) {
    put_bytes(&w, K_DATA, chunk, (size_t)n);
    s->credit -= n;
  } else {
    put_int(&w, K_EOF, 1); // an unreadable stdin is an ended one
    s->input_ended = true;
  }
  return frame_end(&w, e);
}

static int write_all(struct session *s, int fd, const uint8_t *bytes, size_t n, struct error *e) {
  while (n > 0) {
    ssize_t done = write(fd, bytes, n);
    if (done >= 0) {
      bytes += done;
      n -= (size_t)done;
    } else if (errno == EAGAIN) {
      struct pollfd p = {.fd = fd, .events = POLLOUT}; // somebody shares a non-blocking terminal
      poll(&p, 1, -1);
    } else if (errno != EINTR) {
      s->output_broken = errno == EPIPE;
      return FAIL_ERRNO(e, "writing the output");
    }
    if (pending_signal && send_signal(s, e) < 0) return -1;
    flush(s);
  }
  return 0;
}

static int on_output(struct session *s, const struct frame *f, struct error *e) {
  struct field data;
  int64_t stream;
  if (frame_int(f, K_STREAM, 1, 1, 2, &stream, e) < 0) return -1;
  if (!frame_find(f, K_DATA, &data)) return 0;
  if (write_all(s, stream == 1 ? STDOUT_FILENO : STDERR_FILENO, data.bytes, data.length, e) < 0)
    return -1;
  struct frame_writer w = frame_begin(&s->channel.output, F_WINDOW, 1);
  put_int(&w, K_STREAM, stream);
  put_int(&w, K_BYTES, (int64_t)data.length);
  return frame_end(&w, e);
}

static int on_frame(struct session *s, const struct frame *f, struct error *e) {
  int64_t value;
  switch (f->type) {
    case F_STARTED:
      s->started = true;
      return 0;
    case F_OUTPUT:
      return on_output(s, f, e);
    case F_WINDOW_STDIN:
      if (frame_int(f, K_BYTES, 0, 0, FRAME_MAX, &value, e) < 0) return -1;
      s->credit += value;
      return 0;
    case F_TERMINAL:
      return make_raw(s, e);
    case F_EXITED:
      if (frame_int(f, K_EXIT_CODE, 0, 0, 255, &value, e) < 0) return -1;
      s->exit_code = (int)value;
      return 0;
    default:
      return FAIL(e, ERR_UNSUPPORTED, "the daemon refuses or does not know the command");
  }
}

static int take_frames(struct session *s, struct error *e) {
  struct frame frame;
  int state = 0;
  while (s->exit_code < 0 && (state = channel_frame(&s->channel, &frame, e)) > 0) {
    if (on_frame(s, &frame, e) < 0) return -1;
    channel_done(&s->channel, &frame);
  }
  return state < 0 ? -1 : 0;
}

static int step(struct session *s, struct error *e) {
  bool reads = !s->input_ended && s->credit > 0;
  struct pollfd fds[3] = {
      {.fd = s->channel.in, .events = POLLIN},
      {.fd = wake_pipe[0], .events = POLLIN},
      {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN},
  };
  if (channel_wants_write(&s->channel)) fds[0].events |= POLLOUT;
  int n = poll(fds, 3, s->started ? -1 : START_TIMEOUT_MS);
  if (n < 0 && errno != EINTR) return FAIL_ERRNO(e, "poll");
  if (n == 0) return FAIL(e, ERR_TIMEOUT, "the daemon does not answer");
  if (pending_signal && send_signal(s, e) < 0) return -1;
  if (pending_resize && send_size(s, e) < 0) return -1;
  if (n > 0 && fds[2].revents && send_input(s, e) < 0) return -1;
  flush(s);
  if (n > 0 && fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
    struct error lost = {0};
    int got = channel_read(&s->channel, &lost);
    // Frames that came before the end of the stream still count.
    if (take_frames(s, e) < 0) return -1;
    if (got < 0 && s->exit_code < 0) {
      *e = lost;
      return -1;
    }
  }
  flush(s);
  return 0;
}

static int outcome(const struct session *s, const struct error *e) {
  if (s->exit_code >= 0) return s->exit_code;
  if (!s->started) return s->last_signal ? 128 + s->last_signal : EXIT_NOT_RELAYED;
  if (s->last_signal) return 128 + s->last_signal;
  if (s->output_broken) return 128 + SIGPIPE; // as a filter ends
  fprintf(stderr, "forkd: the daemon ended before the command did: %s\n", e->message);
  return EXIT_LOST;
}

int session_run(int socket, int argc, char **argv) {
  struct session s = {.exit_code = -1};
  struct error e = {0};
  if (channel_open(&s.channel, socket, socket, &e) < 0) return EXIT_NOT_RELAYED;
  if (request_put(&s.channel.output, argc, argv, &e) == 0 && catch_signals(&e) == 0)
    while (s.exit_code < 0 && step(&s, &e) == 0) continue;
  restore(&s); // before anything is said to the user
  int code = outcome(&s, &e);
  channel_close(&s.channel);
  return code;
}
