/*
 * One compute loop alone, then two at once: `scaling threads` for the guest's two CPUs, each thread kept on
 * one; `scaling processes` for the host, as the control.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* So many that the host, too, takes long enough for its scheduler to spread two processes. */
enum { OPERATIONS = 32 << 20 };

/* In memory that is shared with the other process. */
struct shared {
    int ready;
    uint64_t sums[2];
};

static struct shared *shared;
static int pinned;

/* Arithmetic, a branch that is taken at random, and a table that stays in the first-level cache. */
static __attribute__((noinline)) uint64_t compute(uint64_t operations)
{
    uint64_t table[256], state = 0xa11e;
    for (int i = 0; i < 256; i++)
        table[i] = next_random(&state);
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t value = table[state & 0xff];
        if (value & 0x80)
            state += value >> 5;
        else
            state ^= value * 3;
        table[i & 0xff] = state + i;
    }
    return state;
}

/* The parts of both start together. */
static void part(int number)
{
    if (pinned) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(number, &set);
        if (sched_setaffinity(0, sizeof set, &set))
            die("sched_setaffinity (expected two CPUs)");
    }
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < 2)
        sched_yield();
    shared->sums[number] = compute(OPERATIONS);
}

static void *part_of_thread(void *number)
{
    part((int)(intptr_t)number);
    return NULL;
}

static void both_threads(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, part_of_thread, (void *)(intptr_t)i))
            die("pthread_create");
    for (int i = 0; i < 2; i++)
        if (pthread_join(threads[i], NULL))
            die("pthread_join");
}

static void both_processes(void)
{
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] < 0)
            die("fork");
        if (children[i] == 0) {
            part(i);
            _exit(0);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status;
        if (waitpid(children[i], &status, 0) != children[i] || status != 0)
            die("a process failed");
    }
}

int main(int argc, char **argv)
{
    uint64_t alone[ROUNDS], both[ROUNDS], sum_alone = 0, sum_both = 0;
    if (argc != 2 || (strcmp(argv[1], "threads") && strcmp(argv[1], "processes"))) {
        fprintf(stderr, "usage: scaling threads|processes\n");
        return 2;
    }
    pinned = strcmp(argv[1], "threads") == 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        sum_alone = mix(sum_alone, compute(OPERATIONS));
        alone[round] = now_ns() - start;

        memset(shared, 0, sizeof *shared);
        start = now_ns();
        if (pinned)
            both_threads();
        else
            both_processes();
        both[round] = now_ns() - start;
        if (shared->sums[0] != shared->sums[1])
            die("two equal loops with different results");
        sum_both = mix(sum_both, shared->sums[1]);
    }
    report("compute-alone", OPERATIONS, sum_alone, alone);
    report("compute-both", OPERATIONS, sum_both, both);
    return 0;
}
