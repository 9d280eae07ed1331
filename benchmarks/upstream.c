/* An upstream far cheaper than any gateway: ready-made bytes, one thread, no allocation per call.
 *
 *   upstream PORT REPLY_FILE EVENT_FILE MODELS_FILE
 *
 * Answers a request, once it is whole, with the reply; or, where its body says "stream": true, with an endless stream of
 * the event, as many a second as its "max_tokens" says, the first at once: that is in the body because some gateways let
 * no header field of the client's through. A GET is answered with the list of models. The files hold bytes as they go over the wire, heads and chunk frames
 * included: the stream's head and its chunk are parted by an empty line, as HTTP parts them. The 16 digits behind the
 * event's @ become the time at which it is sent, in nanoseconds of the machine's monotonic clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 65536, MAX_HEAD = 4096, BEAT_NS = 1000000 };

#define LAST_CHUNK "\r\n0\r\n\r\n" /* No JSON has a line break like these inside a string. */

struct connection {
    int fd;
    int place;       /* among the streams; -1: not one of them */
    long body_left;  /* bytes of the request's body to come; -1: its head is not whole */
    int chunked;     /* the body's end is told by its last bytes, which are kept here */
    char tail[sizeof LAST_CHUNK];
    size_t head_size, chunk_sent;
    long period, due; /* of a stream's chunks, in nanoseconds */
    char head[MAX_HEAD + 1];
};

struct text { char *bytes; size_t size; };

static struct text reply, models, stream_head, chunk;
static char *stamp;
static struct connection *streams[MAX_CONNECTIONS];
static int stream_count, serial, epoll;

static void die(const char *what) { perror(what); exit(1); }

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static struct text read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct text text = {malloc(1 << 20), 0};
    if (file == NULL || text.bytes == NULL) die(path);
    text.size = fread(text.bytes, 1, 1 << 20, file);
    fclose(file);
    return text;
}

static long number(const char *text, const char *field)
{
    const char *at = strcasestr(text, field);
    return at == NULL ? 0 : atol(at + strlen(field));
}

/* How many chunks a second a request asks for; 0: a whole reply. A stream's request is small and was kept. */
static long pace(const char *body)
{
    const char *stream = strstr(body, "\"stream\":");
    if (stream == NULL || stream[9 + strspn(stream + 9, " ")] != 't') return 0;
    long rate = number(body, "\"max_tokens\":");
    return rate > 0 ? rate : 1;
}

/* Send a stream's next piece of a chunk; 0: its connection is over. */
static int send_chunk(struct connection *c)
{
    char digits[24];
    if (c->chunk_sent == 0) {
        snprintf(digits, sizeof digits, "%016ld", now() % 10000000000000000L);
        memcpy(stamp, digits, 16);
    }
    ssize_t sent = send(c->fd, chunk.bytes + c->chunk_sent, chunk.size - c->chunk_sent, MSG_NOSIGNAL);
    if (sent > 0) c->chunk_sent = (c->chunk_sent + sent) % chunk.size;
    return sent > 0 || errno == EAGAIN;
}

static void finish(struct connection *c)
{
    if (c->place >= 0) { /* The last one takes its place. */
        streams[c->place] = streams[--stream_count];
        streams[c->place]->place = c->place;
    }
    close(c->fd);
    free(c);
}

/* The request is whole. */
static int answer(struct connection *c)
{
    char *end = c->head + strlen(c->head) + 1; /* The head's last blank line was cut off. */
    long rate = pace(end);
    struct text *whole = strncmp(c->head, "GET ", 4) == 0 ? &models : &reply;
    c->body_left = -1;
    c->head_size = 0;
    if (rate == 0) return send(c->fd, whole->bytes, whole->size, MSG_NOSIGNAL) == (ssize_t)whole->size;
    c->period = 1000000000L / rate;
    /* The golden ratio's multiples spread the streams evenly over a period. */
    double share = ++serial * 0.6180339887;
    c->due = now() + (long)((share - (long)share) * c->period);
    c->place = stream_count;
    streams[stream_count++] = c;
    if (send(c->fd, stream_head.bytes, stream_head.size, MSG_NOSIGNAL) != (ssize_t)stream_head.size) return 0;
    return send_chunk(c);
}

/* Note what came of a chunked body; 1: it is whole. */
static int last_chunk(struct connection *c, const char *bytes, size_t size)
{
    size_t wanted = sizeof LAST_CHUNK - 1;
    size_t fresh = size < wanted ? size : wanted;
    memmove(c->tail, c->tail + fresh, wanted - fresh);
    memcpy(c->tail + wanted - fresh, bytes + size - fresh, fresh);
    return memcmp(c->tail, LAST_CHUNK, wanted) == 0;
}

/* Take what came; 0: the connection is over. */
static int receive(struct connection *c)
{
    static char buffer[1 << 18];
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    size_t room = MAX_HEAD - c->head_size;
    size_t kept = (size_t)got < room ? (size_t)got : room;
    memcpy(c->head + c->head_size, buffer, kept);
    c->head_size += kept;
    c->head[c->head_size] = 0;
    if (c->body_left >= 0 && c->chunked) {
        c->body_left = !last_chunk(c, buffer, got);
    } else if (c->body_left >= 0) {
        c->body_left -= got;
    } else {
        char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) return c->head_size < MAX_HEAD;
        long head_size = end + 4 - c->head;
        *end = 0;
        c->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
        c->body_left = number(c->head, "\r\ncontent-length:") - (c->head_size - kept + got - head_size);
        if (c->chunked) c->body_left = !last_chunk(c, buffer, got);
    }
    if (c->body_left < 0) return 0; /* More than one request at a time is not for us. */
    return c->body_left > 0 || answer(c);
}

/* Send each stream what is due; one that does not keep up gets its chunks later, or not at all. */
static void beat(void)
{
    long time = now();
    for (int i = 0; i < stream_count; i++) {
        struct connection *c = streams[i];
        if (c->due > time) continue;
        send_chunk(c); /* Whether the connection is over is told by its next event. */
        c->due += c->period;
    }
}

static void watch(int fd, void *whose)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = whose};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void take_connection(int listener)
{
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct connection *c = calloc(1, sizeof *c);
    if (fd < 0 || c == NULL) die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    c->place = c->body_left = -1;
    watch(fd, c);
}

int main(int argc, char **argv)
{
    if (argc != 5) return fprintf(stderr, "upstream PORT REPLY_FILE EVENT_FILE MODELS_FILE\n"), 2;
    reply = read_file(argv[2]);
    models = read_file(argv[4]);
    stream_head = chunk = read_file(argv[3]);
    chunk.bytes = memmem(chunk.bytes, chunk.size, "\r\n\r\n", 4) + 4;
    stream_head.size = chunk.bytes - stream_head.bytes;
    chunk.size -= stream_head.size;
    stamp = (char *)memchr(chunk.bytes, '@', chunk.size) + 1;

    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 2048) < 0) die("listen");
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec every = {{0, BEAT_NS}, {0, BEAT_NS}};
    timerfd_settime(timer, 0, &every, NULL);
    epoll = epoll_create1(0);
    watch(listener, &listener);
    watch(timer, &timer);

    for (struct epoll_event events[256];;) {
        int count = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            void *whose = events[i].data.ptr;
            unsigned long beats;
            if (whose == &listener) take_connection(listener);
            else if (whose != &timer) { if (!receive(whose)) finish(whose); }
            else if (read(timer, &beats, sizeof beats) > 0) beat();
        }
    }
}
