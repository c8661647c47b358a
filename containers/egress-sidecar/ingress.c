#include "sidecar.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void connect_through(int fd, const struct head *head) {
  char where[64], *colon;
  struct in_addr address;
  int upstream = -1;
  if (head_field(head, "x-dst-addr", where, sizeof where) && (colon = strrchr(where, ':'))) {
    *colon = 0;
    if (inet_pton(AF_INET, where, &address) == 1) upstream = connect_to(address, atoi(colon + 1), 10);
  }
  if (upstream < 0) {
    respond(fd, "400 Bad Request", "text/plain", "", 0);
    return;
  }
  static const char accepted[] = "HTTP/1.1 200 OK\r\n\r\n";
  /* What was sent behind the head belongs to the tunnel already. */
  if (send_all(fd, accepted, sizeof accepted - 1) && send_all(upstream, head->text + head->end, head->length - head->end)) {
    tunnel(fd, upstream);
  }
  close(upstream);
}

static void update(int fd, struct head *head) {
  char text[16];
  size_t wanted = head_field(head, "content-length", text, sizeof text) ? strtoul(text, NULL, 10) : 0;
  if (wanted > HEAD_LIMIT - head->end) {
    respond(fd, "413 Content Too Large", "text/plain", "", 0);
    return;
  }
  while (head->length - head->end < wanted) {
    ssize_t got = recv(fd, head->text + head->length, HEAD_LIMIT - head->length, 0);
    if (got <= 0) return;
    head->length += (size_t)got;
  }
  head->text[head->end + wanted] = 0;
  settings_update(head->text + head->end);
  respond(fd, "204 No Content", "text/plain", "", 0);
}

static void certificate(int fd) {
  char pem[8192];
  FILE *file = fopen("/ca.crt", "r");
  size_t length = file ? fread(pem, 1, sizeof pem, file) : 0;
  if (file) fclose(file);
  respond(fd, "200 OK", "application/x-pem-file", pem, length);
}

/* One request for each connection. */
void ingress(int fd) {
  struct head head;
  if (head_read(fd, &head)) {
    if (strncmp(head.text, "CONNECT ", 8) == 0) connect_through(fd, &head);
    else if (strncmp(head.text, "PUT /egress ", 12) == 0) update(fd, &head);
    else if (strncmp(head.text, "GET /ca ", 8) == 0) certificate(fd);
    else respond(fd, "404 Not Found", "text/plain", "", 0);
  }
  close(fd);
}
