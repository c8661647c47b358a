#include "sidecar.h"

#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Offers the connection to workerd: the descriptor to it, or -1 when it is refused. What it sent early is passed on. */
static int offer(int client, const char *destination, const char *name) {
  char request[1024];
  struct head answer;
  int upstream = connect_to(gateway, settings_port(), 10);
  if (upstream < 0) return -1;
  int length = snprintf(request, sizeof request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nX-Proto: tcp\r\n%s%s%s\r\n", destination,
                        destination, *name ? "X-Hostname: " : "", name, *name ? "\r\n" : "");
  if (length > 0 && (size_t)length < sizeof request && send_all(upstream, request, (size_t)length) &&
      head_read(upstream, &answer)) {
    const char *status = strchr(answer.text, ' ');
    if (status && atoi(status) < 300 && send_all(client, answer.text + answer.end, answer.length - answer.end)) {
      return upstream;
    }
  }
  close(upstream);
  return -1;
}

/* A connection that the container opened to anywhere, redirected to us. */
void egress(int fd) {
  struct sockaddr_in original;
  socklen_t size = sizeof original;
  char ip[INET_ADDRSTRLEN], destination[32], name[512] = "";
  struct head first;
  first.length = first.end = 0;
  if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &original, &size) < 0) return reset(fd);
  if ((original.sin_addr.s_addr & neighbours.mask) == neighbours.network.s_addr) return reset(fd);
  inet_ntop(AF_INET, &original.sin_addr, ip, sizeof ip);
  snprintf(destination, sizeof destination, "%s:%d", ip, ntohs(original.sin_port));
  /* Plain HTTP tells the host that it is for; other protocols may wait for their server to begin. */
  if (ntohs(original.sin_port) == 80 && head_read(fd, &first)) head_field(&first, "host", name, sizeof name);
  int upstream = offer(fd, destination, name);
  if (upstream < 0) return reset(fd);
  if (send_all(upstream, first.text, first.length)) tunnel(fd, upstream);
  close(upstream);
  close(fd);
}
