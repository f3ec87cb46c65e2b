/* Loads a forwarder of TCP pairs, and is the plainest of forwarders itself. Pairs are FROM:TO,
   numbers of inherited sockets. Figures go to standard output.

     load pump CHUNK BYTES PAIR...          seconds until BYTES of each pair are through
     load pace CHUNK MICROS COUNT PAIR...   COUNT chunks a pair, one every MICROS, taking turns
     load echo CHUNK MICROS COUNT PAIR      to and fro, one every MICROS: p50 p99 worst, in us
     load web pump|pace|echo ...            the same, each chunk a WebSocket message
     load beat RATE SECONDS SOCKET:HEX...   RATE datagrams a second, each in its turn from its
                                            socket: how many went and how many were answered
     load copy PORT HOST BACKEND            forwards each connection, copying 64 KiB at most
     load answer PORT HEX                   says HEX to each datagram, and to each connection that
                                            said something, and no more: what the kernel takes */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 64
#define COPY_BYTES (64 * 1024)
#define FILES_MAX 4096

static struct pair { int from, to; } pairs[PAIRS_MAX];
static int pair_count;
static size_t chunk, said, heard; /* of one chunk: payload, bytes sent, bytes that arrive */
static long micros, count;
static char data[1 << 20];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void sleep_until(double when) {
    struct timespec at = {(time_t)when, (long)((when - (time_t)when) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static void send_all(int to, size_t length) {
    for (size_t sent = 0; sent < length;) {
        ssize_t some = send(to, data + sent, length - sent, MSG_NOSIGNAL);
        if (some <= 0) die("send");
        sent += some;
    }
}

/* Takes bytes off a socket without looking at them. */
static void drain(int from, long long length) {
    while (length > 0) {
        ssize_t some = recv(from, data, length < 1 << 20 ? length : 1 << 20, MSG_TRUNC);
        if (some <= 0) die("recv");
        length -= some;
    }
}

static void *sender(void *at) {
    struct pair *pair = at;
    for (long sent = 0; sent < count; sent++) send_all(pair->from, said);
    return NULL;
}

static void *receiver(void *at) {
    struct pair *pair = at;
    drain(pair->to, (long long)count * heard);
    return NULL;
}

/* Has `data` be what is sent for a chunk: a client's binary message, under a mask, if `web`. */
static void prepare(int web) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t wide = chunk < 126 ? 0 : chunk < 0x10000 ? 2 : 8, header = web ? 2 + wide + 4 : 0;
    said = header + chunk;
    heard = web ? 2 + wide + chunk : chunk;
    if (said > sizeof data) die("chunk");
    if (!web) return;
    data[0] = (char)0x82;
    data[1] = (char)(0x80 | (wide == 0 ? chunk : wide == 2 ? 126 : 127));
    for (size_t at = 0; at < wide; at++) data[2 + at] = (char)(chunk >> 8 * (wide - 1 - at));
    for (size_t at = header - 4; at < said; at++) data[at] = (char)mask[(at - header + 4) % 4];
}

static pthread_t start(void *(*what)(void *), struct pair *pair) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, what, pair)) die("thread");
    return thread;
}

static void pump(void) {
    pthread_t threads[2 * PAIRS_MAX];
    double began = now();
    for (int at = 0; at < pair_count; at++) {
        threads[2 * at] = start(receiver, &pairs[at]);
        threads[2 * at + 1] = start(sender, &pairs[at]);
    }
    for (int at = 0; at < 2 * pair_count; at++) pthread_join(threads[at], NULL);
    printf("%f\n", now() - began);
}

static void pace(void) {
    pthread_t threads[PAIRS_MAX];
    double began = now();
    for (int at = 0; at < pair_count; at++) threads[at] = start(receiver, &pairs[at]);
    for (long turn = 0; turn < count * pair_count; turn++) {
        sleep_until(began + turn * (micros / 1e6 / pair_count));
        send_all(pairs[turn % pair_count].from, said);
    }
    for (int at = 0; at < pair_count; at++) pthread_join(threads[at], NULL);
    printf("%f\n", now() - began);
}

static int by_value(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static void echo(void) {
    double *took = calloc(count, sizeof *took), began = now();
    for (long turn = 0; turn < count; turn++) {
        sleep_until(began + turn * (micros / 1e6));
        double sent = now();
        send_all(pairs[0].from, said);
        drain(pairs[0].to, heard);
        send_all(pairs[0].to, said);
        drain(pairs[0].from, heard);
        took[turn] = now() - sent;
    }
    qsort(took, count, sizeof *took, by_value);
    printf("%f %f %f\n", took[count / 2] * 1e6, took[count * 99 / 100] * 1e6,
           took[count - 1] * 1e6);
}

static struct { int other; size_t held, sent; char *bytes; } sides[FILES_MAX];

static int inet_socket(const char *host, int port, struct sockaddr_in *name) {
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (made < 0 || made >= FILES_MAX) die("socket");
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port),
                                 .sin_addr.s_addr = inet_addr(host)};
    return made;
}

static void watch(int poll, int file, int events, int how) {
    struct epoll_event event = {.events = events, .data.fd = file};
    if (epoll_ctl(poll, how, file, &event)) die("epoll_ctl");
}

static void take(int poll, int listener, const char *host, int backend) {
    struct sockaddr_in name;
    int both[2] = {accept(listener, NULL, NULL), inet_socket(host, backend, &name)}, yes = 1;
    if (both[0] < 0 || both[0] >= FILES_MAX) die("accept");
    if (connect(both[1], (struct sockaddr *)&name, sizeof name)) die("connect");
    for (int at = 0; at < 2; at++) {
        setsockopt(both[at], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        sides[both[at]].other = both[!at];
        sides[both[at]].held = sides[both[at]].sent = 0;
        if (!sides[both[at]].bytes) sides[both[at]].bytes = malloc(COPY_BYTES);
        watch(poll, both[at], EPOLLIN, EPOLL_CTL_ADD);
    }
}

/* Passes on what `from` holds; false if the pair ended. */
static int flush(int from) {
    int to = sides[from].other;
    ssize_t some = send(to, sides[from].bytes + sides[from].sent,
                        sides[from].held - sides[from].sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (some < 0 && errno != EAGAIN) return 0;
    sides[from].sent += some > 0 ? some : 0;
    if (sides[from].sent == sides[from].held) sides[from].held = sides[from].sent = 0;
    return 1;
}

/* What each side of a pair waits for now. */
static void rearm(int poll, int one) {
    int both[2] = {one, sides[one].other};
    for (int at = 0; at < 2; at++) {
        int self = both[at], other = both[!at];
        int events = (sides[self].held ? 0 : EPOLLIN) | (sides[other].held ? EPOLLOUT : 0);
        watch(poll, self, events, EPOLL_CTL_MOD);
    }
}

static int forward(int poll, int file, int events) {
    int other = sides[file].other, was = (sides[file].held > 0) | (sides[other].held > 0) << 1;
    if (sides[other].held && !flush(other)) return 0;
    if (!sides[file].held && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t some = recv(file, sides[file].bytes, COPY_BYTES, MSG_DONTWAIT);
        if (some == 0 || (some < 0 && errno != EAGAIN)) return 0;
        sides[file].held = some > 0 ? some : 0;
        if (some > 0 && !flush(file)) return 0;
    }
    if (((sides[file].held > 0) | (sides[other].held > 0) << 1) != was) rearm(poll, file);
    return 1;
}

static void copy(int port, const char *host, int backend) {
    struct sockaddr_in name;
    struct epoll_event events[256];
    int listener = inet_socket("0.0.0.0", port, &name), poll = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 128)) die("bind");
    watch(poll, listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int at = 0; at < ready; at++) {
            int file = events[at].data.fd, other = sides[file].other;
            if (file == listener) {
                take(poll, listener, host, backend);
            } else if (other >= 0 && !forward(poll, file, events[at].events)) {
                close(file);
                close(other);
                sides[file].other = sides[other].other = -1;
            }
        }
    }
}

static size_t from_hex(const char *hex, char *bytes) {
    size_t length = strlen(hex) / 2;
    for (size_t byte = 0; byte < length; byte++) sscanf(hex + 2 * byte, "%2hhx", &bytes[byte]);
    return length;
}

/* Reads before it waits, and waits only after EAGAIN, as the server does. */
static void answer(int port, const char *hex) {
    struct sockaddr_in name, from;
    struct epoll_event events[256];
    int listener = inet_socket("0.0.0.0", port, &name), poll = epoll_create1(EPOLL_CLOEXEC);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    size_t length = from_hex(hex, data);
    char heard[2048];
    if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 128) ||
        bind(udp, (struct sockaddr *)&name, sizeof name)) die("bind");
    watch(poll, listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(poll, udp, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int at = 0; at < ready; at++) {
            int file = events[at].data.fd;
            socklen_t size = sizeof from;
            if (file == udp) {
                while (recvfrom(udp, heard, sizeof heard, 0, (struct sockaddr *)&from, &size) > 0)
                    sendto(udp, data, length, 0, (struct sockaddr *)&from, size);
            } else if (file == listener) {
                int taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (taken < 0) die("accept");
                watch(poll, taken, EPOLLIN, EPOLL_CTL_ADD);
            } else if (recv(file, heard, sizeof heard, 0) > 0) {
                send(file, data, length, MSG_NOSIGNAL);
            } else {
                close(file);
            }
        }
    }
}

static long answers(int poll, int wait) {
    struct epoll_event events[256];
    long all = 0;
    for (int ready; (ready = epoll_wait(poll, events, 256, wait)) > 0; wait = 0)
        for (int at = 0; at < ready; at++)
            while (recv(events[at].data.fd, data, sizeof data, MSG_DONTWAIT) > 0) all++;
    return all;
}

static void beat(long rate, long seconds, int many, char **words) {
    static struct { int file; size_t length; char bytes[64]; } devices[FILES_MAX];
    long sent = 0, answered = 0;
    int poll = epoll_create1(EPOLL_CLOEXEC), room = 8 << 20;
    if (many > FILES_MAX) die("devices");
    for (int at = 0; at < many; at++) {
        const char *hex = strchr(words[at], ':') + 1;
        devices[at].file = atoi(words[at]);
        if (strlen(hex) / 2 > sizeof devices[at].bytes) die("datagram");
        devices[at].length = from_hex(hex, devices[at].bytes);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = devices[at].file};
        if (!epoll_ctl(poll, EPOLL_CTL_ADD, devices[at].file, &event))
            setsockopt(devices[at].file, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
        else if (errno != EEXIST) die("epoll_ctl");
    }
    double began = now();
    for (long due; (due = (now() - began) * rate) < rate * seconds;) {
        for (; sent < due; sent++) {
            int at = sent % many;
            if (send(devices[at].file, devices[at].bytes, devices[at].length, 0) < 0) die("send");
        }
        answered += answers(poll, 1);
    }
    while (now() < began + seconds + 2) answered += answers(poll, 100);
    printf("%ld %ld\n", sent, answered);
}

int main(int many, char **words) {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    int web = many > 1 && !strcmp(words[1], "web");
    words += web;
    many -= web;
    if (many == 4 && !strcmp(words[1], "answer")) answer(atoi(words[2]), words[3]);
    if (many < 5) return 2;
    if (!strcmp(words[1], "beat"))
        return beat(atol(words[2]), atol(words[3]), many - 4, words + 4), 0;
    if (!strcmp(words[1], "copy")) copy(atoi(words[2]), words[3], atoi(words[4]));
    int pumps = !strcmp(words[1], "pump");
    chunk = atol(words[2]);
    micros = atol(words[3]);
    count = pumps ? atoll(words[3]) / (long long)chunk : atol(words[4]);
    prepare(web);
    for (int at = pumps ? 4 : 5; at < many && pair_count < PAIRS_MAX; at++, pair_count++)
        sscanf(words[at], "%d:%d", &pairs[pair_count].from, &pairs[pair_count].to);
    if (pumps) pump();
    else if (!strcmp(words[1], "pace")) pace();
    else echo();
    return 0;
}
