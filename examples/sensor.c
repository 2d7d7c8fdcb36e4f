/* Ask the device about a reading, and print the answer as it comes. POSIX sockets, no library.
 *
 *     cc -std=c99 -o sensor examples/sensor.c
 *     ./sensor 127.0.0.1 8080 "The tank is at 71 degrees and rising. One sentence: what should I do?"
 *
 * Exit code 0 when the whole answer was printed, 1 with a message otherwise.
 */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char* what) {
  fprintf(stderr, "sensor: %s\n", what);
  return 1;
}

static FILE* open_connection(const char* host, const char* port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  if (getaddrinfo(host, port, &hints, &found) != 0) return NULL;
  int connection = -1;
  for (struct addrinfo* a = found; a != NULL && connection < 0; a = a->ai_next) {
    connection = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (connection >= 0 && connect(connection, a->ai_addr, a->ai_addrlen) != 0) {
      close(connection);
      connection = -1;
    }
  }
  freeaddrinfo(found);
  return connection < 0 ? NULL : fdopen(connection, "r+");
}

/* `text` as the inside of a JSON string. The caller frees it. */
static char* escaped(const char* text) {
  char *out = malloc(6 * strlen(text) + 1), *end = out;
  if (out == NULL) abort();
  for (const unsigned char* c = (const unsigned char*)text; *c != 0; c++) {
    if (*c == '"' || *c == '\\' || *c < 0x20)
      end += sprintf(end, "\\u%04x", *c);
    else
      *end++ = (char)*c;
  }
  *end = 0;
  return out;
}

/* Print a JSON string up to its closing quote. The daemon sends UTF-8 and escapes only quotes, backslashes and controls. */
static void print_string(const char* json) {
  for (; *json != '"' && *json != 0; json++) {
    if (*json != '\\') {
      putchar(*json);
    } else if (*++json == 'u') {
      char digits[5] = {0};
      strncpy(digits, json + 1, 4);
      putchar((int)strtol(digits, NULL, 16));
      json += 4;
    } else {
      const char *names = "nrtbf", *values = "\n\r\t\b\f", *name = strchr(names, *json);
      putchar(*json != 0 && name != NULL ? values[name - names] : *json);
    }
  }
  fflush(stdout);
}

int main(int argc, char** argv) {
  if (argc != 4) return fail("usage: sensor HOST PORT PROMPT");
  FILE* stream = open_connection(argv[1], argv[2]);
  if (stream == NULL) return fail("cannot connect");
  char* prompt = escaped(argv[3]);
  /* HTTP/1.0: the daemon closes the connection at the end, and sends no chunk sizes between the events. */
  fprintf(stream,
          "POST /chat_stream HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
          "{\"prompt\":\"%s\"}",
          strlen(prompt) + strlen("{\"prompt\":\"\"}"), prompt);
  fflush(stream);
  free(prompt);

  char* line = NULL;
  size_t size = 0;
  int is_done = 0, is_ok = 0;
  while (!is_done && getline(&line, &size, stream) > 0) {
    if (strncmp(line, "HTTP/", 5) == 0)
      is_ok = strstr(line, " 200 ") != NULL;
    else if (strncmp(line, "data: {\"text\":\"", 15) == 0)
      print_string(line + 15);
    else if (strncmp(line, "data: {\"done\":true", 18) == 0)
      is_done = 1;
    else if (strstr(line, "{\"error\":") != NULL)
      fprintf(stderr, "sensor: %s", line);
  }
  free(line);
  fclose(stream);
  putchar('\n');
  return is_ok && is_done ? 0 : fail("the answer is not complete");
}
