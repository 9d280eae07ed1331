/* Holds many streams open; counts their events and how late each came.
 *
 *   stream_load PORT STREAMS REQUEST_FILE
 *
 * Opens the streams, some at a time, and says "ready" once each has had an event. For each empty line on standard
 * input it then says what came since it was last asked: the number of events, and their delay in microseconds: the
 * median, the 99th percentile and the longest. For a line with a number it opens more until there are as many, and says
 * "ready" again. It ends with standard input, or, saying why, with a stream that fails.
 *
 * An event is told by its @, behind which stand the 16 digits of the time at which the upstream sent it, in
 * nanoseconds of the monotonic clock, which both programs share.
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
#include <time.h>
#include <unistd.h>

enum { AT_A_TIME = 50, DIGITS = 16, CARRIED = DIGITS + 1, STEP_US = 10, STEPS = 1000000, MOST = 30000 };

struct stream {
    int fd, flows, answered;
    size_t carried;
    char carry[CARRIED]; /* An event's @ and digits may be cut in two. */
};

static char request[1 << 16];
static size_t request_size;
static struct stream *streams;
static int epoll, wanted, opened, flowing, ready;
static long events, longest_us;
static unsigned delays[STEPS];

static void die(const char *what)
{
    printf("failed: %s (%s)\n", what, strerror(errno));
    exit(1);
}

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void open_stream(int port)
{
    struct stream *s = &streams[opened++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(s->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) die("send");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event) < 0) die("epoll_ctl");
}

static void note(struct stream *s, const char *digits, long time)
{
    long sent = 0;
    for (int i = 0; i < DIGITS; i++) sent = sent * 10 + digits[i] - '0';
    long late_us = (time % 10000000000000000L - sent) / 1000;
    if (late_us < 0) late_us = 0;
    if (late_us > longest_us) longest_us = late_us;
    delays[late_us / STEP_US < STEPS ? late_us / STEP_US : STEPS - 1]++;
    events++;
    flowing += !s->flows;
    s->flows = 1;
}

static void receive(struct stream *s)
{
    static char buffer[CARRIED + (1 << 16) + 1];
    memcpy(buffer, s->carry, s->carried);
    ssize_t got = recv(s->fd, buffer + s->carried, 1 << 16, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("a stream ended");
    char *end = buffer + s->carried + got, *at = buffer;
    *end = 0;
    if (!s->answered && strncmp(buffer, "HTTP/1.1 200", got < 12 ? (size_t)got : 12)) {
        buffer[strcspn(buffer, "\r\n")] = 0;
        errno = 0;
        die(buffer);
    }
    s->answered = 1;
    s->carried = 0;
    long time = now();
    while ((at = memchr(at, '@', end - at)) != NULL) {
        if (end - at < CARRIED) {
            s->carried = end - at;
            memcpy(s->carry, at, s->carried);
            return;
        }
        note(s, at + 1, time);
        at += CARRIED;
    }
}

static long percentile(double share)
{
    long before = 0;
    for (int i = 0; i < STEPS; i++)
        if ((before += delays[i]) >= share * events) return (long)i * STEP_US;
    return longest_us;
}

static void tell(void)
{
    char line[64] = "";
    if (read(0, line, sizeof line - 1) <= 0) exit(0);
    if (atoi(line) > 0) {
        wanted = atoi(line);
        ready = 0;
        return;
    }
    printf("%ld %ld %ld %ld\n", events, percentile(0.5), percentile(0.99), longest_us);
    fflush(stdout);
    events = longest_us = 0;
    memset(delays, 0, sizeof delays);
}

int main(int argc, char **argv)
{
    if (argc != 4) return fprintf(stderr, "stream_load PORT STREAMS REQUEST_FILE\n"), 2;
    FILE *file = fopen(argv[3], "rb");
    if (file == NULL) die(argv[3]);
    request_size = fread(request, 1, sizeof request, file);
    wanted = atoi(argv[2]);
    streams = calloc(MOST, sizeof *streams);
    epoll = epoll_create1(0);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input);
    for (struct epoll_event ripe[256];;) {
        while (opened < wanted && opened - flowing < AT_A_TIME) open_stream(atoi(argv[1]));
        if (!ready && flowing == wanted) {
            ready = 1;
            puts("ready");
            fflush(stdout);
        }
        int count = epoll_wait(epoll, ripe, 256, -1);
        for (int i = 0; i < count; i++) {
            if (ripe[i].data.ptr == NULL) tell();
            else receive(ripe[i].data.ptr);
        }
    }
}
