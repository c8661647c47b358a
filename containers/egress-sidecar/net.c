#include "sidecar.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* After one direction has ended, how long the other may be silent: a peer that never closes must not keep us for good. */
enum { HALF_CLOSED_S = 120, BUFFER = 65536 };

struct task {
  void (*handle)(int fd);
  int fd;
};
struct direction {
  int from, to;
};

static void prompt(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

int listen_on(const char *host, int port) {
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (fd < 0 || inet_pton(AF_INET, host, &at.sin_addr) != 1) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 512) < 0) return -1;
  return fd;
}

int connect_to(struct in_addr address, int port, int seconds) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = address};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), problem = 0, mark = BYPASS_MARK;
  socklen_t size = sizeof problem;
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark); /* leaves our own redirection alone */
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (errno != EINPROGRESS || poll(&ready, 1, seconds * 1000) != 1 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 || problem != 0) {
      close(fd);
      return -1;
    }
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  prompt(fd);
  return fd;
}

/* True when the thread runs; else the caller still has what it wanted to hand over. */
static bool run(void *(*body)(void *), void *argument, pthread_t *thread) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024); /* reserved, not used: a head and a buffer */
  if (!thread) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t started;
  bool runs = pthread_create(&started, &attributes, body, argument) == 0;
  pthread_attr_destroy(&attributes);
  if (runs && thread) *thread = started;
  return runs;
}

static void *task_run(void *argument) {
  struct task task = *(struct task *)argument;
  free(argument);
  task.handle(task.fd);
  return NULL;
}

/* Each connection is handled, and in the end closed, by a thread of its own. */
void serve(int listener, void (*handle)(int fd)) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) usleep(10000); /* until some have ended */
      continue;
    }
    prompt(fd);
    struct task *task = malloc(sizeof *task);
    if (task) *task = (struct task){handle, fd};
    if (!task || !run(task_run, task, NULL)) {
      free(task);
      close(fd);
    }
  }
}

static void *pump(void *argument) {
  struct direction *way = argument;
  char buffer[BUFFER];
  ssize_t got;
  while ((got = recv(way->from, buffer, sizeof buffer, 0)) > 0) {
    if (!send_all(way->to, buffer, (size_t)got)) {
      got = -1;
      break;
    }
  }
  if (got == 0) {
    struct timeval patience = {.tv_sec = HALF_CLOSED_S};
    shutdown(way->to, SHUT_WR);
    setsockopt(way->to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  } else { /* broken: the other direction is of no use either */
    shutdown(way->from, SHUT_RDWR);
    shutdown(way->to, SHUT_RDWR);
  }
  return NULL;
}

/* Carries bytes both ways until both have ended. */
void tunnel(int a, int b) {
  struct direction there = {a, b}, back = {b, a};
  pthread_t other;
  if (!run(pump, &back, &other)) return;
  pump(&there);
  pthread_join(other, NULL);
}

/* Closes so that the peer sees a reset, not an end. */
void reset(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}
