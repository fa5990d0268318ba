/*
 * A load for some processors: a worker each that touches, protects and gives back memory, forks children that check what
 * they inherited, exchanges signals with its neighbour, and sleeps. Every answer is known, and everything that it waits for
 * has to come. `load SECONDS WORKERS`: prints what was done, what was wrong and what was lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { WORKERS = 64, PAGES = 24, SIGNALS = 20 };
/* Whoever waits longer waits for what is lost: no host is so busy. */
enum { LOST_AFTER_S = 60 };

enum { ROUNDS_DONE, FAULTS, CHILDREN, EXCHANGED, SLEPT, WRONG, LOST, COUNTS };
static const char *const names[COUNTS] = {"rounds", "faults", "children", "signals", "sleeps", "wrong", "lost"};

/* What the workers share: counts, and who runs. */
struct shared {
    volatile pid_t pid[WORKERS];
    volatile int done[WORKERS];
    uint64_t counts[WORKERS][COUNTS];
};
static struct shared *shared;
static uint64_t *counts;
static int self;

__attribute__((format(printf, 2, 3))) static void bad(int count, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    counts[count]++;
    printf("AILERON-TEST load-%s: worker %d: ", names[count], self);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

static uint64_t word_of(uint64_t round, size_t page)
{
    uint64_t state = round * 64 + page + 1 + ((uint64_t)self << 40);
    next_random(&state);
    return next_random(&state);
}

/* Pages that are fresh, written, read, protected, and gone. */
static void memory(uint64_t round, size_t page_bytes)
{
    size_t bytes = PAGES * page_bytes;
    uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        die("mmap");
    for (size_t page = 0; page < PAGES; page++) {
        uint64_t *word = (uint64_t *)(at + page * page_bytes);
        if (*word)
            bad(WRONG, "a fresh page holds %#llx", (unsigned long long)*word);
        word[page] = word_of(round, page);
    }
    if (mprotect(at, bytes, PROT_READ))
        die("mprotect");
    pid_t child = round % 4 == 0 ? fork() : -1;
    if (child == -1 && round % 4 == 0)
        die("fork");
    if (child == 0) {
        /* What the parent wrote is here, and what is written here stays here. */
        int right = mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
        for (size_t page = 0; page < PAGES; page++) {
            uint64_t *word = (uint64_t *)(at + page * page_bytes);
            right &= word[page] == word_of(round, page);
            word[page] = 0;
        }
        _exit(right ? 40 + self % 64 : 1);
    }
    for (size_t page = 0; page < PAGES; page++) {
        uint64_t found = ((uint64_t *)(at + page * page_bytes))[page];
        if (found != word_of(round, page))
            bad(WRONG, "page %zu holds %#llx", page, (unsigned long long)found);
    }
    counts[FAULTS] += PAGES;
    if (child > 0) {
        int status = 0;
        if (waitpid(child, &status, 0) != child)
            die("waitpid");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 40 + self % 64)
            bad(WRONG, "a child ended with status %#x", status);
        counts[CHILDREN]++;
    }
    if (munmap(at, bytes))
        die("munmap");
}

/* Numbers go to the neighbour and back; each has to come, in order. False: it is lost, or the neighbour is done. */
static int exchange(int neighbour, int first, uint64_t round)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    for (int n = 0; n < SIGNALS; n++) {
        union sigval value = {.sival_int = (int)(round * SIGNALS + (uint64_t)n) & 0x7fffffff};
        for (int turn = 0; turn < 2; turn++) {
            if ((turn == 0) == first) {
                while (sigqueue(shared->pid[neighbour], SIGRTMIN, value))
                    if (errno != EAGAIN)
                        die("sigqueue");
                continue;
            }
            siginfo_t info;
            uint64_t start = now_ns();
            for (;;) {
                struct timespec second = {.tv_sec = 1};
                if (sigtimedwait(&set, &info, &second) == SIGRTMIN)
                    break;
                if (errno != EAGAIN && errno != EINTR)
                    die("sigtimedwait");
                if (shared->done[neighbour])
                    return 0;
                if (now_ns() - start > LOST_AFTER_S * 1000000000ull) {
                    bad(LOST, "signal %d did not come in %d s", value.sival_int, LOST_AFTER_S);
                    return 0;
                }
            }
            if (info.si_value.sival_int != value.sival_int)
                bad(WRONG, "signal %d came, expected %d", info.si_value.sival_int, value.sival_int);
        }
        counts[EXCHANGED]++;
    }
    return 1;
}

static void sleeps(void)
{
    struct timespec some = {.tv_nsec = 500000};
    uint64_t start = now_ns();
    nanosleep(&some, NULL);
    uint64_t took = now_ns() - start;
    if (took < 500000)
        bad(WRONG, "a sleep of 500 us took %llu ns", (unsigned long long)took);
    if (took > LOST_AFTER_S * 1000000000ull)
        bad(LOST, "a sleep of 500 us took %llu s", (unsigned long long)(took / 1000000000));
    counts[SLEPT]++;
}

static void work(int number, int workers, uint64_t end)
{
    int neighbour = number ^ 1;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    self = number;
    counts = shared->counts[number];
    while (now_ns() < end) {
        memory(counts[ROUNDS_DONE], page_bytes);
        if (neighbour < workers && !exchange(neighbour, number < neighbour, counts[ROUNDS_DONE]))
            break;
        if (counts[ROUNDS_DONE] % 8 == 0)
            sleeps();
        counts[ROUNDS_DONE]++;
    }
    shared->done[number] = 1;
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 0, workers = argc > 2 ? atoi(argv[2]) : 0;
    if (seconds < 1 || workers < 1 || workers > WORKERS) {
        fprintf(stderr, "usage: load SECONDS WORKERS (1 to %d)\n", WORKERS);
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    counts = shared->counts[0];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    uint64_t end = now_ns() + (uint64_t)seconds * 1000000000ull;
    int go[2];
    if (pipe(go))
        die("pipe");
    for (int n = 0; n < workers; n++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            char byte;
            close(go[1]);
            /* Everybody is known once nobody can write any more. */
            while (read(go[0], &byte, 1) < 0 && errno == EINTR)
                ;
            work(n, workers, end);
            _exit(0);
        }
        shared->pid[n] = pid;
    }
    close(go[1]);
    int failed = 0;
    for (int n = 0; n < workers; n++) {
        int status = 0;
        pid_t pid = wait(&status);
        if (pid < 0)
            die("wait");
        if (status != 0) {
            printf("AILERON-TEST load-ended: a worker ended with status %#x\n", status);
            failed = 1;
        }
    }
    for (int count = 0; count < COUNTS; count++) {
        uint64_t sum = 0;
        for (int n = 0; n < workers; n++)
            sum += shared->counts[n][count];
        printf("AILERON-TEST load-%s: %llu\n", names[count], (unsigned long long)sum);
        failed |= sum != 0 && (count == WRONG || count == LOST);
    }
    return failed;
}
