#include "sidecar.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A name that workerd will answer for needs any address at all to be connected to. */
static const unsigned char PLACEHOLDER[4] = {11, 0, 0, 1};
enum { MESSAGE = 4096, HEADER = 12, TYPE_A = 1 };

struct query {
  unsigned char message[MESSAGE];
  size_t length;
  struct sockaddr_in client;
};
static int listener;

/* The name of the only question, and where the question ends; 0 when it is not one. */
static size_t question(const struct query *query, char *name, size_t size, int *type) {
  size_t at = HEADER, used = 0;
  while (at < query->length && query->message[at] != 0) {
    size_t label = query->message[at++];
    if (label > 63 || at + label > query->length || used + label + 2 > size) return 0;
    if (used > 0) name[used++] = '.';
    memcpy(name + used, query->message + at, label);
    used += label;
    at += label;
  }
  name[used] = 0;
  if (at + 5 > query->length) return 0;
  *type = query->message[at + 1] << 8 | query->message[at + 2];
  return at + 5;
}

/* Asks the machine's own resolver, past our redirection. The length of its answer, or 0. */
static size_t resolve(const struct query *query, unsigned char *answer) {
  char line[256], server[64] = "";
  FILE *file = fopen("/etc/resolv.conf", "r");
  while (file && !*server && fgets(line, sizeof line, file)) sscanf(line, "nameserver %63s", server);
  if (file) fclose(file);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
  struct timeval patience = {.tv_sec = 3};
  int mark = BYPASS_MARK, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ssize_t got = 0;
  if (fd >= 0 && inet_pton(AF_INET, server, &to.sin_addr) == 1) {
    setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send(fd, query->message, query->length, 0) > 0) {
      got = recv(fd, answer, MESSAGE, 0);
    }
  }
  if (fd >= 0) close(fd);
  return got >= HEADER ? (size_t)got : 0;
}

static void reply(const struct query *query, const unsigned char *message, size_t length) {
  sendto(listener, message, length, 0, (const struct sockaddr *)&query->client, sizeof query->client);
}

static void *answer(void *argument) {
  struct query *query = argument;
  unsigned char message[MESSAGE];
  char name[256];
  int type = 0;
  size_t end = question(query, name, sizeof name, &type), length;
  if (end > 0) {
    bool allowed = settings_name_allowed(name);
    if (settings_internet() && (length = resolve(query, message)) > 0 && ((message[3] & 15) == 0 || !allowed)) {
      reply(query, message, length);
    } else {
      bool known = allowed && type == TYPE_A;
      memcpy(message, query->message, end);
      message[2] = 0x84; /* an answer, with authority */
      message[3] = allowed ? 0 : 3;
      memset(message + 4, 0, HEADER - 4);
      message[5] = 1;
      message[7] = known;
      if (known) {
        static const unsigned char record[12] = {0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4};
        memcpy(message + end, record, sizeof record);
        memcpy(message + end + sizeof record, PLACEHOLDER, sizeof PLACEHOLDER);
        end += sizeof record + sizeof PLACEHOLDER;
      }
      reply(query, message, end);
    }
  }
  free(query);
  return NULL;
}

static void *listen_for_queries(void *unused) {
  (void)unused;
  for (;;) {
    struct query *query = malloc(sizeof *query);
    socklen_t size = sizeof query->client;
    if (!query) abort();
    ssize_t got = recvfrom(listener, query->message, MESSAGE - 64, 0, (struct sockaddr *)&query->client, &size);
    pthread_t thread;
    query->length = got > 0 ? (size_t)got : 0;
    if (got > HEADER && pthread_create(&thread, NULL, answer, query) == 0) pthread_detach(thread);
    else free(query);
  }
  return NULL;
}

void dns_start(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  pthread_t thread;
  listener = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || pthread_create(&thread, NULL, listen_for_queries, NULL) != 0) {
    perror("dns");
    exit(1);
  }
}
