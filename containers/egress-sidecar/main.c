#include "sidecar.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* The value of `--name value` or `--name=value`; others than ours are for another version and are passed over. */
static const char *option(int count, char **arguments, const char *name, const char *fallback) {
  size_t length = strlen(name);
  for (int i = 1; i < count; i++) {
    if (strncmp(arguments[i], name, length) != 0) continue;
    if (arguments[i][length] == '=') return arguments[i] + length + 1;
    if (arguments[i][length] == 0 && i + 1 < count) return arguments[i + 1];
  }
  return fallback;
}

/* From /etc/hosts, line by line: a static program has no resolver to ask. */
static bool find_gateway(void) {
  char line[512], address[64], name[256];
  FILE *file = fopen("/etc/hosts", "r");
  bool found = false;
  while (file && !found && fgets(line, sizeof line, file)) {
    found = sscanf(line, "%63s %255s", address, name) == 2 && strcmp(name, "host.docker.internal") == 0 &&
            inet_pton(AF_INET, address, &gateway) == 1;
  }
  if (file) fclose(file);
  return found;
}

/* Docker's network, as `address/bits`. */
static bool find_neighbours(const char *text) {
  char address[64];
  unsigned bits;
  if (sscanf(text, "%63[^/]/%u", address, &bits) != 2 || bits > 32) return false;
  neighbours.mask = bits == 0 ? 0 : htonl(0xffffffffu << (32 - bits));
  if (inet_pton(AF_INET, address, &neighbours.network) != 1) return false;
  neighbours.network.s_addr &= neighbours.mask;
  return true;
}

/*
 * All rules at once: each run of iptables costs as much as all of them. What is not for this network namespace itself and
 * not our own (marked) comes to us, other containers on Docker's bridge and the host included: on the platform every
 * container is a machine of its own. What is not TCP goes nowhere.
 */
static void redirect_everything(void) {
  int ends[2], status;
  if (pipe(ends) < 0) fail("pipe");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    dup2(ends[0], 0);
    close(ends[1]);
    execl("/usr/sbin/iptables-restore", "iptables-restore", "--noflush", (char *)NULL);
    _exit(127);
  }
  close(ends[0]);
  dprintf(ends[1],
          "*nat\n:EGRESS - [0:0]\n"
          "-A EGRESS -m mark --mark %d -j RETURN\n"
          "-A EGRESS -p udp --dport 53 -j REDIRECT --to-ports %d\n"
          "-A EGRESS -m addrtype --dst-type LOCAL -j RETURN\n"
          "-A EGRESS -p tcp -j REDIRECT --to-ports %d\n"
          "-A OUTPUT -j EGRESS\nCOMMIT\n"
          "*filter\n-A OUTPUT ! -p tcp -m mark ! --mark %d -m addrtype ! --dst-type LOCAL -j DROP\nCOMMIT\n",
          BYPASS_MARK, DNS_PORT, EGRESS_PORT, BYPASS_MARK);
  close(ends[1]);
  if (waitpid(child, &status, 0) < 0 || status != 0) {
    fprintf(stderr, "iptables-restore ended with %d\n", status);
    exit(1);
  }
}

static void *serve_egress(void *listener) {
  serve(*(int *)listener, egress);
  return NULL;
}

static void end(int signal) {
  (void)signal;
  _exit(0);
}

int main(int count, char **arguments) {
  static int outgoing;
  char host[64];
  pthread_t thread;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, end); /* as PID 1 it would be ignored */
  signal(SIGINT, end);
  settings_port_set(atoi(option(count, arguments, "--http-egress-port", "49121")));
  snprintf(host, sizeof host, "%s", option(count, arguments, "--http-ingress-address", "0.0.0.0:39001"));
  char *colon = strrchr(host, ':');
  if (!colon || !find_gateway() || !find_neighbours(option(count, arguments, "--docker-gateway-cidr", "172.17.0.0/16"))) {
    fprintf(stderr, "no ingress address, no network, or no host.docker.internal in /etc/hosts\n");
    return 1;
  }
  *colon = 0;
  dns_start();
  outgoing = listen_on("127.0.0.1", EGRESS_PORT);
  if (outgoing < 0 || pthread_create(&thread, NULL, serve_egress, &outgoing) != 0) fail("egress");
  /* Before the ingress answers, which says that all is in place. */
  redirect_everything();
  int incoming = listen_on(host, atoi(colon + 1));
  if (incoming < 0) fail("ingress");
  serve(incoming, ingress);
}
