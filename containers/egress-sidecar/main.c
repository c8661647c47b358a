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

/* All rules at once: each run of iptables costs as much as all of them. */
static void redirect_everything(const char *docker_network) {
  char address[INET_ADDRSTRLEN];
  int ends[2], status;
  inet_ntop(AF_INET, &gateway, address, sizeof address);
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
          "-A EGRESS -d 127.0.0.0/8 -j RETURN\n-A EGRESS -d %s -j RETURN\n-A EGRESS -d %s/32 -j RETURN\n"
          "-A EGRESS -p tcp -j REDIRECT --to-ports %d\n"
          "-A OUTPUT -j EGRESS\nCOMMIT\n",
          BYPASS_MARK, DNS_PORT, docker_network, address, EGRESS_PORT);
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
  if (!colon || !find_gateway()) {
    fprintf(stderr, "no ingress address, or no host.docker.internal in /etc/hosts\n");
    return 1;
  }
  *colon = 0;
  dns_start();
  outgoing = listen_on("127.0.0.1", EGRESS_PORT);
  if (outgoing < 0 || pthread_create(&thread, NULL, serve_egress, &outgoing) != 0) fail("egress");
  /* Before the ingress answers, which says that all is in place. */
  redirect_everything(option(count, arguments, "--docker-gateway-cidr", "172.17.0.0/16"));
  int incoming = listen_on(host, atoi(colon + 1));
  if (incoming < 0) fail("ingress");
  serve(incoming, ingress);
}
