/* System kernels: what costs time in the guest's kernel, in interrupts and in translations of addresses. */
#include <errno.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#ifdef __powerpc64__
/* `sc`: number in r0, result in r3 (Linux Documentation/arch/powerpc/syscall64-abi.rst). */
static inline long getppid_sc(void)
{
    register long r0 __asm__("r0") = SYS_getppid;
    register long r3 __asm__("r3");
    __asm__ volatile("sc"
                     : "+r"(r0), "=r"(r3)
                     :
                     : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
    return r3;
}

/* `scv 0`, same convention, but LR is overwritten and CR0 does not tell of errors. */
static inline long getppid_scv(void)
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
static inline long getppid_sc(void)
{
    return syscall(SYS_getppid);
}
#endif

static uint64_t sc(uint64_t calls)
{
    uint64_t right = 0;
    long parent = getppid();
    for (uint64_t i = 0; i < calls; i++)
        right += getppid_sc() == parent;
    return right;
}

#ifdef __powerpc64__
static uint64_t scv(uint64_t calls)
{
    uint64_t right = 0;
    long parent = getppid();
    for (uint64_t i = 0; i < calls; i++)
        right += getppid_scv() == parent;
    return right;
}
#endif

/* A byte to another process and back. */
static uint64_t ping_pong(uint64_t trips)
{
    int there[2], back[2];
    uint64_t sum = 0;
    if (pipe(there) || pipe(back))
        die("pipe");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        uint8_t byte;
        close(there[1]);
        close(back[0]);
        while (read(there[0], &byte, 1) == 1) {
            byte = (uint8_t)(byte * 5 + 1);
            if (write(back[1], &byte, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    for (uint64_t i = 0; i < trips; i++) {
        uint8_t byte = (uint8_t)i;
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            die("ping-pong");
        sum = mix(sum, byte);
    }
    close(there[1]);
    close(back[0]);
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        die("the other process failed");
    return sum;
}

/* Fresh memory, touched a page at a time; an operation a page, its share of mmap and munmap included. */
static uint64_t page_faults(uint64_t pages)
{
    enum { BATCH = 256 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t sum = 0;
    for (uint64_t done = 0; done < pages; done += BATCH) {
        uint8_t *memory =
            mmap(NULL, BATCH * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            die("mmap");
        /* One fault a page on every machine. Kernels without huge pages answer EINVAL. */
        if (madvise(memory, BATCH * page, MADV_NOHUGEPAGE) && errno != EINVAL)
            die("madvise");
        for (size_t i = 0; i < BATCH; i++)
            memory[i * page] = (uint8_t)(i + 1);
        for (size_t i = 0; i < BATCH; i++)
            sum += memory[i * page];
        if (munmap(memory, BATCH * page))
            die("munmap");
    }
    return sum;
}

/* A child that ends at once. */
static uint64_t fork_exit(uint64_t children)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < children; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit((int)(i & 0x7f));
        if (child < 0 || waitpid(child, &status, 0) != child)
            die("fork or waitpid");
        sum = mix(sum, (uint64_t)WEXITSTATUS(status));
    }
    return sum;
}

/* A page becomes read-only and writable again, and is read and written in between. */
static uint64_t protect(uint64_t pairs)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t sum = 0;
    uint8_t *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    for (uint64_t i = 0; i < pairs; i++) {
        memory[i & 0xff] = (uint8_t)i;
        if (mprotect(memory, page, PROT_READ))
            die("mprotect");
        sum += memory[i & 0x3f];
        if (mprotect(memory, page, PROT_READ | PROT_WRITE))
            die("mprotect");
    }
    if (munmap(memory, page))
        die("munmap");
    return sum;
}

/* An access to each page of 64 MiB (with 4 KiB pages) in turn; an operation an access. */
static uint64_t tlb_misses(uint64_t accesses)
{
    enum { PAGES = 1 << 14 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static uint8_t *memory;
    uint64_t sum = 0, at = 0;
    if (!memory) {
        memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            die("mmap");
        if (madvise(memory, PAGES * page, MADV_NOHUGEPAGE) && errno != EINVAL)
            die("madvise");
        for (size_t i = 0; i < PAGES; i++)
            memory[i * page] = (uint8_t)i;
    }
    for (uint64_t i = 0; i < accesses; i++) {
        sum += memory[at * page];
        /* An odd step reaches every page. */
        at = (at + 4001) % PAGES;
    }
    return sum;
}

/* Fetch-and-add, compare-and-swap, exchange and a lock; an operation each. */
static uint64_t atomics(uint64_t operations)
{
    static uint64_t counter, swapped;
    static uint32_t lock;
    uint64_t guarded = 0;
    counter = swapped = 0;
    for (uint64_t i = 0; i < operations / 4; i++) {
        __atomic_fetch_add(&counter, i, __ATOMIC_SEQ_CST);
        uint64_t expected = __atomic_load_n(&swapped, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&swapped, &expected, expected * 3 + i, 1, __ATOMIC_ACQ_REL,
                                            __ATOMIC_RELAXED))
            ;
        guarded ^= __atomic_exchange_n(&counter, counter + 1, __ATOMIC_ACQUIRE);
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            ;
        guarded++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    return mix(mix(counter, swapped), guarded);
}

int main(int argc, char **argv)
{
    static const struct kernel kernels[] = {
        {"getppid-sc", 80000, sc},
#ifdef __powerpc64__
        {"getppid-scv", 80000, scv},
#endif
        {"pipe-ping-pong", 1500, ping_pong},
        {"page-faults", 8192, page_faults},
        {"tlb-misses", 1 << 21, tlb_misses},
        {"fork-exit", 100, fork_exit},
        {"mprotect", 8000, protect},
        {"atomics", 6 << 20, atomics},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
#ifdef __powerpc64__
        /* PPC_FEATURE2_SCV of AT_HWCAP2. */
        if (kernels[i].round == scv && !(getauxval(AT_HWCAP2) & 0x00100000))
            continue;
#endif
        run_kernel(&kernels[i], argc, argv);
    }
    return 0;
}
