#include "sidecar.h"

#include <ctype.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 128, NAME_LENGTH = 256 };

struct in_addr gateway;
struct neighbours neighbours;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int port = 49121;
static bool internet = true;
static char names[NAMES][NAME_LENGTH];
static int count = 0;

void settings_port_set(int value) {
  pthread_mutex_lock(&lock);
  port = value;
  pthread_mutex_unlock(&lock);
}

int settings_port(void) {
  pthread_mutex_lock(&lock);
  int value = port;
  pthread_mutex_unlock(&lock);
  return value;
}

bool settings_internet(void) {
  pthread_mutex_lock(&lock);
  bool value = internet;
  pthread_mutex_unlock(&lock);
  return value;
}

bool settings_name_allowed(const char *name) {
  bool allowed = false;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < count && !allowed; i++) allowed = fnmatch(names[i], name, FNM_CASEFOLD) == 0;
  pthread_mutex_unlock(&lock);
  return allowed;
}

/* What follows `"key":`, or NULL. The keys that we know come once each. */
static const char *value_of(const char *json, const char *key) {
  char quoted[64];
  size_t length = strlen(key);
  if (length > sizeof quoted - 3) return NULL;
  quoted[0] = '"';
  memcpy(quoted + 1, key, length);
  memcpy(quoted + 1 + length, "\"", 2);
  for (const char *at = json; (at = strstr(at, quoted)) != NULL; at += length) {
    const char *after = at + length + 2;
    while (isspace((unsigned char)*after)) after++;
    if (*after != ':') continue;
    do after++; while (isspace((unsigned char)*after));
    return after;
  }
  return NULL;
}

static void take_names(const char *at) {
  count = 0;
  if (*at != '[') return;
  while (*at && *at != ']' && count < NAMES) {
    if (*at++ != '"') continue;
    size_t length = 0;
    while (*at && *at != '"') {
      if (length < NAME_LENGTH - 1) names[count][length++] = *at;
      at++;
    }
    names[count++][length] = 0;
    if (*at == '"') at++;
  }
}

/* A body of PUT /egress. What it does not name stays as it is. */
void settings_update(const char *json) {
  const char *found;
  pthread_mutex_lock(&lock);
  if ((found = value_of(json, "port")) && atoi(found) > 0) port = atoi(found);
  if ((found = value_of(json, "enabled"))) internet = strncmp(found, "true", 4) == 0;
  if ((found = value_of(json, "allowHostnames"))) take_names(found);
  pthread_mutex_unlock(&lock);
}
