/* The fastest server there can be on stdio: answers {"jsonrpc":"2.0","id":N,"method":…,"params":P} with P as the
 * result, so that a benchmark sees the path and not the server. One write per read. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void out(const char *p, size_t n) {
  while (n > 0) {
    ssize_t w = write(1, p, n);
    if (w <= 0) _exit(1);
    p += w;
    n -= (size_t)w;
  }
}

static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
static const char mid[] = ",\"result\":";

int main(void) {
  size_t room = 1 << 20, have = 0, seen = 0, oroom = 1 << 20;
  char *buf = malloc(room), *reply = malloc(oroom);
  for (;;) {
    if (room - have < 65536) buf = realloc(buf, room *= 2);
    ssize_t n = read(0, buf + have, room - have);
    if (n <= 0) return 0;
    have += (size_t)n;
    size_t start = 0, o = 0;
    char *nl;
    while ((nl = memchr(buf + seen, '\n', have - seen))) {
      char *line = buf + start, *id = line + sizeof head - 1, *end = id;
      while (end < nl && *end >= '0' && *end <= '9') end++;
      char *params = memmem(end, (size_t)(nl - end), "\"params\":", 9);
      size_t len = params ? (size_t)(nl - params - 9) : 0;
      while (oroom - o < len + 128) reply = realloc(reply, oroom *= 2);
      if (params) {
        memcpy(reply + o, head, sizeof head - 1), o += sizeof head - 1;
        memcpy(reply + o, id, (size_t)(end - id)), o += (size_t)(end - id);
        memcpy(reply + o, mid, sizeof mid - 1), o += sizeof mid - 1;
        memcpy(reply + o, params + 9, len), o += len;
        reply[o++] = '\n';
      }
      start = seen = (size_t)(nl - buf) + 1;
    }
    if (o) out(reply, o);
    memmove(buf, buf + start, have - start);
    have -= start;
    seen = have;
  }
}
