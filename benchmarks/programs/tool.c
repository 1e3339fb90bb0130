/* The programs that the benchmarks put at the ends of pipes, in one file: they must cost as little as a program can, so that a figure is about what
 * lies between them.  tool.py beside this file is the same in Python, for a machine without a C compiler.  Times are CLOCK_MONOTONIC nanoseconds.
 *
 *   produce BYTES LINE FILE       write BYTES bytes in lines of LINE bytes; FILE gets the time of the first write
 *   sink BYTES FILE               read; FILE gets the time at which BYTES bytes had been read
 *   acknowledge COUNT FILE        answer each line with one empty line on stderr, by one write; FILE gets the times of the first and of the COUNTth line
 *   drive WINDOW COUNT LINE FILE  run `acknowledge` on bare pipes and keep at most WINDOW lines unanswered: the limit of what pipes can do
 *   stamp COUNT GAP_MS            write COUNT lines that say when they were written
 *   compare COUNT FILE [ack]      read such lines; FILE gets how late each one was read; with `ack` each is acknowledged
 *   witness FILE                  append this process's pid and the time, then wait for ever
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536

static char block[BLOCK + 4096];

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0) exit(1);
        data += n;
        size -= n;
    }
}

/* A reader never sees half of it. */
static void leave(const char *path, const char *text) {
    char other[4096];
    snprintf(other, sizeof other, "%s.new", path);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) exit(1);
    put(fd, text, strlen(text));
    close(fd);
    if (rename(other, path)) exit(1);
}

static void leave_time(const char *path) {
    char text[32];
    snprintf(text, sizeof text, "%lld\n", now());
    leave(path, text);
}

static void fill_lines(size_t size, size_t line) {
    for (size_t i = 0; i < size; i++) block[i] = i % line == line - 1 ? '\n' : 'a' + i % 26;
}

static int produce(long long bytes, size_t line, const char *path) {
    size_t size = BLOCK / line * line;
    fill_lines(size, line);
    leave_time(path);
    for (; bytes > 0; bytes -= size) put(1, block, bytes < (long long)size ? (size_t)bytes : size);
    return 0;
}

static int sink(long long bytes, const char *path) {
    long long left = bytes;
    ssize_t n;
    while ((n = read(0, block, BLOCK)) > 0)
        if (left > 0 && (left -= n) <= 0) leave_time(path);
    return 0;
}

static int acknowledge(long long count, const char *path) {
    long long seen = 0, first = 0;
    ssize_t n;
    while ((n = read(0, block, BLOCK)) > 0) {
        char *at = block, *end = block + n, *found;
        while ((found = memchr(at, '\n', end - at))) {
            at = found + 1;
            if (!seen++) first = now();
            put(2, "\n", 1);
            if (seen == count) {
                char text[64];
                snprintf(text, sizeof text, "%lld %lld\n", first, now());
                leave(path, text);
            }
        }
    }
    return 0;
}

static int drive(long long window, long long count, size_t line, const char *path) {
    int to[2], from[2];
    long long sent = 0, answered = 0;
    if (window * line > BLOCK || pipe(to) || pipe(from)) return 1;
    pid_t child = fork();
    if (child < 0) return 1;
    if (!child) {
        dup2(to[0], 0);
        dup2(from[1], 2);
        close(to[0]), close(to[1]), close(from[0]), close(from[1]);
        exit(acknowledge(count, path));
    }
    close(to[0]), close(from[1]);
    fill_lines(window * line, line);
    while (answered < count) {
        long long more = window - (sent - answered);
        if (more > count - sent) more = count - sent;
        if (more) put(to[1], block, more * line);
        sent += more;
        char answers[4096];
        ssize_t n = read(from[0], answers, sizeof answers);
        if (n <= 0) return 1;
        answered += n;
    }
    close(to[1]);
    waitpid(child, NULL, 0);
    return 0;
}

static int stamp(long long count, long gap_ms) {
    struct timespec gap = {gap_ms / 1000, gap_ms % 1000 * 1000000};
    char line[32];
    for (; count > 0; count--) {
        nanosleep(&gap, NULL);
        put(1, line, snprintf(line, sizeof line, "%019lld\n", now()));
    }
    return 0;
}

static int compare(long long count, const char *path, int acknowledges) {
    char line[32], *text = malloc(count * 24 + 1);
    size_t used = 0;
    long long seen = 0;
    ssize_t n;
    if (!text) return 1;
    while ((n = read(0, line, 20)) > 0) {
        long long read_at = now();
        while (n < 20) {
            ssize_t more = read(0, line + n, 20 - n);
            if (more <= 0) return 1;
            n += more;
        }
        line[20] = 0;
        if (acknowledges) put(2, "\n", 1);
        used += snprintf(text + used, 24, "%lld\n", read_at - atoll(line));
        if (++seen == count) {
            leave(path, text);
            used = 0;
        }
    }
    return 0;
}

static int witness(const char *path) {
    char text[64];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0) return 1;
    put(fd, text, snprintf(text, sizeof text, "%d %lld\n", getpid(), now()));
    close(fd);
    for (;;) pause();
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "produce") && argc == 5) return produce(atoll(argv[2]), atol(argv[3]), argv[4]);
    if (!strcmp(what, "sink") && argc == 4) return sink(atoll(argv[2]), argv[3]);
    if (!strcmp(what, "acknowledge") && argc == 4) return acknowledge(atoll(argv[2]), argv[3]);
    if (!strcmp(what, "drive") && argc == 6) return drive(atoll(argv[2]), atoll(argv[3]), atol(argv[4]), argv[5]);
    if (!strcmp(what, "stamp") && argc == 4) return stamp(atoll(argv[2]), atol(argv[3]));
    if (!strcmp(what, "compare") && argc >= 4) return compare(atoll(argv[2]), argv[3], argc > 4);
    if (!strcmp(what, "witness") && argc == 3) return witness(argv[2]);
    fprintf(stderr, "tool: see the comment at the top of tool.c\n");
    return 2;
}
