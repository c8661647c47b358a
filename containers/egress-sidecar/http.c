#include "sidecar.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Reads until the empty line; false when it does not come whole, in time and within the limit. */
bool head_read(int fd, struct head *head) {
  struct timeval deadline = {.tv_sec = HEAD_DEADLINE_S}, none = {0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
  head->length = head->end = 0;
  while (head->end == 0 && head->length < HEAD_LIMIT) {
    ssize_t got = recv(fd, head->text + head->length, HEAD_LIMIT - head->length, 0);
    if (got <= 0) break;
    size_t from = head->length > 3 ? head->length - 3 : 0;
    head->length += (size_t)got;
    head->text[head->length] = 0;
    char *end = memmem(head->text + from, head->length - from, "\r\n\r\n", 4);
    if (end) head->end = (size_t)(end - head->text) + 4;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  return head->end != 0;
}

bool head_field(const struct head *head, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  const char *stop = head->text + head->end - 2;
  for (const char *line = strstr(head->text, "\r\n"); line && line < stop; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
    const char *from = line + length + 1, *to = strstr(from, "\r\n");
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    if ((size_t)(to - from) >= size) return false;
    memcpy(value, from, (size_t)(to - from));
    value[to - from] = 0;
    return true;
  }
  return false;
}

bool send_all(int fd, const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += sent;
    length -= (size_t)sent;
  }
  return true;
}

void respond(int fd, const char *status, const char *type, const char *body, size_t length) {
  char message[16384];
  int head = snprintf(message, sizeof message, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status,
                      type, length);
  if (head < 0 || (size_t)head + length > sizeof message) return;
  if (length > 0) memcpy(message + head, body, length);
  send_all(fd, message, (size_t)head + length);
}
