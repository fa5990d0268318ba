/*
 * Process 1 and all else of the big-endian guest: says what booted, and runs itself, built for 64 and for 32 bits, to see
 * whether what it computes is what the host computed (`compute` prints it; the order of bytes must not matter).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9e3779b97f4a7c15u + (sum >> 29);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Values of every width, stored and loaded as such, at any alignment. */
static uint64_t widths(void)
{
    static unsigned char place[4096];
    uint64_t state = 1, sum = 0;
    for (unsigned n = 0; n < 200000; n++) {
        uint64_t value = next_random(&state);
        unsigned char *at = place + value % (sizeof place - 8);
        uint16_t half = (uint16_t)value;
        uint32_t word = (uint32_t)value;
        int16_t signed_half;
        memcpy(at, &value, 8);
        value = 0;
        memcpy(&value, at, 8);
        sum = mix(sum, value);
        memcpy(at, &word, 4);
        memcpy(&word, at, 4);
        memcpy(at + 1, &half, 2);
        memcpy(&signed_half, at + 1, 2);
        sum = mix(mix(sum, word), (uint64_t)(int64_t)signed_half);
    }
    return sum;
}

/* Bytes as numbers in the order that this machine does not have. */
static uint64_t reversed(void)
{
    uint64_t state = 2, sum = 0;
    for (unsigned n = 0; n < 200000; n++) {
        volatile uint64_t value = next_random(&state);
        volatile uint32_t word = (uint32_t)value;
        volatile uint16_t half = (uint16_t)value;
        sum = mix(sum, __builtin_bswap64(value));
        sum = mix(sum, __builtin_bswap32(word) ^ (uint64_t)__builtin_bswap16(half) << 32);
    }
    return sum;
}

/* Arithmetic that 32-bit programs call functions for. */
static uint64_t long_arithmetic(void)
{
    uint64_t state = 3, sum = 0;
    for (unsigned n = 0; n < 100000; n++) {
        uint64_t a = next_random(&state), b = next_random(&state) >> (n % 60) | 1;
        int64_t c = (int64_t)a;
        sum = mix(mix(sum, a / b), a % b);
        sum = mix(mix(sum, a * b), (uint64_t)(c >> (n % 64)));
        sum = mix(sum, (uint64_t)(c / (int64_t)b) + (c < (int64_t)b));
        sum = mix(sum, (uint32_t)a / (uint32_t)b + (uint64_t)((int32_t)a % (int32_t)(b >> 33 | 1)));
    }
    return sum;
}

/* Floating point: each operation is exact in the same way everywhere. */
static uint64_t floating(void)
{
    double sum = 0;
    float small = 1;
    uint64_t bits, state = 4, result = 0;
    for (unsigned n = 1; n < 100000; n++) {
        volatile double quotient = (double)n / (n + 1.0);
        volatile float scaled = small * 1.0001f;
        int64_t whole = (int64_t)(next_random(&state) >> 11);
        sum += quotient;
        sum -= (double)whole / 9007199254740992.0;
        small = scaled > 1e30f ? 1 : scaled;
        result = mix(result, (uint64_t)(int64_t)(sum * 65536.0) + (uint32_t)(int32_t)(small * 3));
    }
    memcpy(&bits, &sum, sizeof bits);
    return mix(result, bits);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The C library's string functions, of which it has several for different processors. */
static uint64_t strings(void)
{
    enum { LINES = 4000 };
    static char text[LINES][48];
    static char *lines[LINES];
    uint64_t state = 5, sum = 0;
    for (unsigned n = 0; n < LINES; n++) {
        unsigned length = 1 + next_random(&state) % 40;
        for (unsigned at = 0; at < length; at++)
            text[n][at] = (char)('a' + next_random(&state) % 26);
        lines[n] = text[n];
    }
    qsort(lines, LINES, sizeof *lines, by_text);
    for (unsigned n = 0; n < LINES; n++) {
        char copy[48];
        const char *found = memchr(lines[n], 'q', strlen(lines[n]));
        memmove(copy, lines[n], sizeof copy);
        sum = mix(sum, strlen(copy) + (found ? 100u * (unsigned)(found - lines[n]) : 7u));
        sum = mix(sum, (uint64_t)(unsigned char)copy[0] << 8 | (memcmp(copy, lines[0], 48) > 0));
        if (n)
            sum = mix(sum, strncmp(lines[n - 1], lines[n], 5) <= 0);
    }
    return sum;
}

/* Numbers as text and back. */
static uint64_t formatting(void)
{
    uint64_t state = 6, sum = 0;
    for (unsigned n = 0; n < 5000; n++) {
        char line[96];
        uint64_t value = next_random(&state);
        snprintf(line, sizeof line, "%llx %lld %.17g %c", (unsigned long long)value, (long long)value,
                 (double)(int64_t)value / 3.0, (int)('a' + n % 26));
        for (const char *at = line; *at; at++)
            sum = mix(sum, (unsigned char)*at);
        sum = mix(sum, strtoull(line, NULL, 16));
    }
    return sum;
}

/* Four threads, and counters of each width that every one of them increments. */
enum { ADDITIONS = 20000, THREADS = 4 };
static struct {
    uint8_t byte;
    uint16_t half;
    uint32_t word, locked;
#if __SIZEOF_POINTER__ == 8
    uint64_t doubleword;
#endif
    pthread_mutex_t lock;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *add(void *unused)
{
    for (unsigned n = 0; n < ADDITIONS; n++) {
        __atomic_fetch_add(&shared.byte, 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&shared.half, 3, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared.word, 5, __ATOMIC_ACQ_REL);
#if __SIZEOF_POINTER__ == 8
        __atomic_fetch_add(&shared.doubleword, 0x100000001u, __ATOMIC_SEQ_CST);
#endif
        if (n % 16 == 0) {
            pthread_mutex_lock(&shared.lock);
            shared.locked++;
            pthread_mutex_unlock(&shared.lock);
        }
    }
    return unused;
}

static uint64_t threads(void)
{
    pthread_t thread[THREADS];
    uint64_t doubleword = (uint64_t)THREADS * ADDITIONS * 0x100000001u;
    memset(&shared, 0, offsetof(__typeof__(shared), lock));
    for (unsigned n = 0; n < THREADS; n++)
        if (pthread_create(&thread[n], NULL, add, NULL))
            return 1;
    for (unsigned n = 0; n < THREADS; n++)
        pthread_join(thread[n], NULL);
#if __SIZEOF_POINTER__ == 8
    doubleword = shared.doubleword;
#endif
    return mix(mix(mix(shared.byte, shared.half), mix(shared.word, shared.locked)), doubleword);
}

static sigjmp_buf back;
static volatile uintptr_t fault_address;
static volatile sig_atomic_t signals;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    fault_address = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

static void on_signal(int number)
{
    signals += number == SIGUSR1;
}

/* Signals that are sent, and faults on pages that are not there or may not be written. */
static uint64_t faults(void)
{
    enum { PAGE = 0x10000, PAGES = 16 };
    struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    struct sigaction count = { .sa_handler = on_signal };
    volatile uint64_t sum = 0;
    char *area = mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || sigaction(SIGSEGV, &fault, NULL) || sigaction(SIGUSR1, &count, NULL))
        return 1;
    for (unsigned n = 0; n < 100; n++)
        raise(SIGUSR1);
    for (volatile unsigned n = 0; n < PAGES; n++) {
        volatile char *page = area + n * PAGE;
        *page = (char)n;
        if (mprotect((void *)page, PAGE, n % 2 ? PROT_READ : PROT_NONE))
            return 2;
        if (sigsetjmp(back, 1) == 0) {
            page[n] = 1;
            return 3;
        }
        sum = mix(sum, fault_address - (uintptr_t)area);
    }
    munmap(area, PAGE * PAGES);
    return mix(sum, (uint64_t)signals);
}

/* Processes that talk through pipes. */
static uint64_t processes(void)
{
    uint64_t sum = 0;
    for (unsigned n = 0; n < 20; n++) {
        int there[2], answer[2], status;
        uint64_t value = n * 0x123456789u;
        pid_t child;
        if (pipe(there) || pipe(answer))
            return 1;
        child = fork();
        if (child == 0) {
            while (read(there[0], &value, sizeof value) == (ssize_t)sizeof value && value) {
                value = mix(value, n);
                if (write(answer[1], &value, sizeof value) < 0)
                    _exit(99);
            }
            _exit((int)n);
        }
        for (unsigned round = 1; round < 50; round++) {
            value = round;
            if (write(there[1], &value, sizeof value) < 0 || read(answer[0], &value, sizeof value) < 0)
                return 2;
            sum = mix(sum, value);
        }
        value = 0;
        if (write(there[1], &value, sizeof value) < 0 || waitpid(child, &status, 0) != child)
            return 3;
        sum = mix(sum, (uint64_t)WEXITSTATUS(status));
        close(there[0]), close(there[1]), close(answer[0]), close(answer[1]);
    }
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} KERNELS[] = {
    { "widths", widths },     { "reversed", reversed },     { "long-arithmetic", long_arithmetic },
    { "floating", floating }, { "strings", strings },       { "formatting", formatting },
    { "threads", threads },   { "faults", faults },         { "processes", processes },
};

static void compute(void)
{
    for (size_t n = 0; n < COUNT(KERNELS); n++)
        printf("%s %016llx\n", KERNELS[n].name, (unsigned long long)KERNELS[n].run());
}

/* Whether everything computed is what the host computed. */
static int check(void)
{
    char name[32];
    unsigned long long wanted, right = 0, all = 0;
    FILE *answers = fopen("/answers", "r");
    if (!answers)
        return 1;
    while (fscanf(answers, "%31s %llx", name, &wanted) == 2) {
        all++;
        for (size_t n = 0; n < COUNT(KERNELS); n++) {
            unsigned long long found;
            if (strcmp(KERNELS[n].name, name) != 0)
                continue;
            found = (unsigned long long)KERNELS[n].run();
            if (found == wanted)
                right++;
            else
                printf("wrong: %s of %d bits gives %016llx, expected %016llx\n", name, 8 * (int)sizeof(void *), found,
                       wanted);
        }
    }
    fclose(answers);
    return right == all && all == COUNT(KERNELS) ? 0 : 1;
}

#ifdef __powerpc__

static void say(const char *name, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    printf("AILERON-TEST %s: ", name);
    vprintf(format, values);
    putchar('\n');
    va_end(values);
    fflush(stdout);
}

static void say_line_of(const char *file, const char *name, const char *start)
{
    char line[256];
    FILE *stream = fopen(file, "r");
    while (stream && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, start, strlen(start)) == 0) {
            const char *colon = *start ? strchr(line, ':') : NULL;
            say(name, "%s", colon ? colon + 2 : line);
            break;
        }
    }
    if (stream)
        fclose(stream);
}

/* Lines of the kernel's log that complain. */
static int complaints(void)
{
    static const char *const WORDS[] = { "BUG:", "Oops", "Call Trace", "stall", "soft lockup", "unhandled signal" };
    static char log[1 << 18];
    int count = 0, bytes = klogctl(3, log, sizeof log - 1);
    log[bytes < 0 ? 0 : bytes] = 0;
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        int bad = strstr(line, "WARNING: ") && strstr(line, "CPU");
        for (size_t n = 0; n < COUNT(WORDS); n++)
            bad |= strstr(line, WORDS[n]) != NULL;
        if (bad)
            puts(line);
        count += bad;
    }
    return count;
}

static int run(const char *program, const char *argument)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, argument, (char *)NULL);
        _exit(127);
    }
    return waitpid(child, &status, 0) == child ? status : -1;
}

static int write_to(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY);
    int good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return good;
}

/* Programs of either width, one of them on each CPU at once; gives how many ended well. */
static int everywhere(long cpus)
{
    int good = 0, status;
    for (long cpu = 0; cpu < cpus; cpu++) {
        if (fork() == 0) {
            const char *program = cpu % 2 ? "/check-64" : "/check-32";
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            execl(program, program, "check", (char *)NULL);
            _exit(127);
        }
    }
    for (long cpu = 0; cpu < cpus; cpu++)
        good += wait(&status) > 0 && status == 0;
    return good;
}

static int cycled(long cpus)
{
    int good = 0;
    for (long cpu = 1; cpu < cpus; cpu++) {
        char file[64];
        snprintf(file, sizeof file, "/sys/devices/system/cpu/cpu%ld/online", cpu);
        good += write_to(file, "0") && sysconf(_SC_NPROCESSORS_ONLN) == cpus - 1 && write_to(file, "1")
                && sysconf(_SC_NPROCESSORS_ONLN) == cpus;
    }
    return good;
}

#ifdef __powerpc64__
/* `scv 0`: number in r0, result in r3 (Linux Documentation/arch/powerpc/syscall64-abi.rst). */
static NOINLINE long getppid_scv(void)
{
    register long r0 __asm__("r0") = SYS_getppid;
    register long r3 __asm__("r3");
    __asm__ volatile(".machine push\n.machine power9\nscv 0\n.machine pop"
                     : "+r"(r0), "=r"(r3)
                     :
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "ctr", "cr0", "cr1", "cr5",
                       "cr6", "cr7", "memory");
    return r3;
}
#else
static long getppid_scv(void)
{
    return -1;
}
#endif

static void init(void)
{
    struct utsname system;
    const union {
        uint16_t half;
        uint8_t first;
    } order = { .half = 1 };
    long cpus;
    int good;
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uname(&system);
    say("kernel", "%s", system.release);
    say("machine", "%s", system.machine);
    say("order", "%s", order.first ? "little" : "big");
    say("page-size", "%#lx", getauxval(AT_PAGESZ));
    say_line_of("/proc/cpuinfo", "cpu", "cpu\t");
    say_line_of("/proc/cpuinfo", "mmu", "MMU\t");
    say("platform", "%s", (const char *)getauxval(AT_PLATFORM));
    say("base-platform", "%s", (const char *)getauxval(AT_BASE_PLATFORM));
    say("hwcap", "0x%016lx", getauxval(AT_HWCAP));
    say("hwcap2", "0x%016lx", getauxval(AT_HWCAP2));
    say("cpus", "%ld", cpus);
    say_line_of("/sys/devices/system/cpu/online", "online", "");
    if (getauxval(AT_HWCAP2) & PPC_FEATURE2_SCV)
        say("scv", "%s", getppid_scv() == 0 ? "right" : "wrong");
    else
        say("scv", "none");
    good = run("/check-64", "check") == 0;
    say("64-bit", "%s", good ? "right" : "wrong");
    if (run("/check-32", "check") == 0)
        say("32-bit", "right");
    else
        good = 0, say("32-bit", "wrong");
    say("everywhere", "%d of %ld", everywhere(cpus), cpus);
    say("cycled", "%d", cycled(cpus));
    say("complaints", "%d", complaints());
    say("end", "%s", good ? "ok" : "failed");
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

#endif

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "compute") == 0) {
        compute();
        return 0;
    }
#ifdef __powerpc__
    if (getpid() == 1)
        init();
#endif
    return check();
}
