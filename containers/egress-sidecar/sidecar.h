/*
 * The networking sidecar's small protocol, written from its public description:
 *
 *   ingress  HTTP on --http-ingress-address, whose port workerd publishes on the host
 *            CONNECT + header X-Dst-Addr: ip:port    200 and a byte tunnel; 400 when nothing listens there
 *            PUT /egress {port?, internet?: {enabled}, dns?: {allowHostnames}}    204
 *            GET /ca                                 200, a CA certificate
 *   egress   every outgoing TCP connection of the shared network namespace is redirected here and offered to workerd with
 *            CONNECT ip:port on the Docker gateway, with X-Hostname for plain HTTP on port 80;
 *            below 300 it becomes a tunnel, anything else resets it
 *   dns      UDP 53: a host name on the allow list gets a placeholder address when the internet is off or has no answer
 *
 * Left out on purpose: TLS interception, IPv6, UDP other than DNS. One thread for each direction of each connection.
 */
#ifndef SIDECAR_H
#define SIDECAR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EGRESS_PORT = 41209, DNS_PORT = 41053, BYPASS_MARK = 100, HEAD_LIMIT = 32768, HEAD_DEADLINE_S = 15 };

/* settings.c: what workerd said last. Each call is atomic. */
void settings_port_set(int port);
int settings_port(void);
void settings_update(const char *json);
bool settings_internet(void);
bool settings_name_allowed(const char *name);
extern struct in_addr gateway;
/* Docker's own network: no container reaches another or the host, because on the platform each is a machine of its own. */
extern struct neighbours {
  struct in_addr network;
  in_addr_t mask;
} neighbours;

/* http.c: the head of a message, with whatever came after it. */
struct head {
  char text[HEAD_LIMIT + 1];
  size_t length; /* everything read */
  size_t end;    /* the head alone, with its empty line; 0 while it is not whole */
};
bool head_read(int fd, struct head *head);
bool head_field(const struct head *head, const char *name, char *value, size_t size);
bool send_all(int fd, const void *data, size_t length);
void respond(int fd, const char *status, const char *type, const char *body, size_t length);

/* net.c */
int listen_on(const char *host, int port);
int connect_to(struct in_addr address, int port, int seconds);
void serve(int listener, void (*handle)(int fd));
void tunnel(int a, int b);
void reset(int fd);

void ingress(int fd);
void egress(int fd);
void dns_start(void);

#endif
