/*
 * What the programs of `cargo xtask perf` share: the clock, and the line that the host reads.
 *
 * A kernel does the same work in every round, so that its checksum is the same on every machine. The first
 * round warms caches and translations up; the host takes the median of the others.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 6 };

/* A kernel: its name, the operations of one round, and the round, which gives a checksum. */
struct kernel {
    const char *name;
    uint64_t operations;
    uint64_t (*round)(uint64_t operations);
};

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

/* One step of xorshift64 (Marsaglia, "Xorshift RNGs", 2003). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Makes one checksum of two. */
static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9e3779b97f4a7c15u + (sum >> 29);
}

/* `AILERON-PERF name operations checksum ns ns ...`: nanoseconds of each round. */
static inline void report(const char *name, uint64_t operations, uint64_t sum, const uint64_t *ns)
{
    printf("AILERON-PERF %s %llu %016llx", name, (unsigned long long)operations, (unsigned long long)sum);
    for (int round = 0; round < ROUNDS; round++)
        printf(" %llu", (unsigned long long)ns[round]);
    putchar('\n');
    fflush(stdout);
}

/* Runs a kernel if it is named on the command line, or none is. */
static inline void run_kernel(const struct kernel *kernel, int argc, char **argv)
{
    uint64_t ns[ROUNDS], sum = 0;
    int wanted = argc < 2;
    for (int i = 1; i < argc; i++)
        wanted |= strcmp(argv[i], kernel->name) == 0;
    if (!wanted)
        return;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        uint64_t value = kernel->round(kernel->operations);
        ns[round] = now_ns() - start;
        sum = mix(sum, value);
    }
    report(kernel->name, kernel->operations, sum, ns);
}

#endif
