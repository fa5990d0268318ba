/* Integer kernels: one process in problem state, no system calls but the clock's. */
#include "bench.h"

#define NOINLINE __attribute__((noinline, noclone))

/* The primes of half a million numbers, again and again; an operation a number. */
static uint64_t sieve(uint64_t numbers)
{
    enum { LIMIT = 1 << 19 };
    static uint8_t composite[LIMIT];
    uint64_t primes = 0;
    for (uint64_t done = 0; done < numbers; done += LIMIT) {
        memset(composite, 0, sizeof composite);
        for (uint64_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            primes++;
            for (uint64_t j = i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    return primes;
}

static uint8_t text[1 << 16];

static void fill_text(void)
{
    uint64_t state = 0x1234567;
    if (text[0] == 0)
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (uint8_t)(next_random(&state) >> 32 | 1);
}

/* CRC-32 (IEEE 802.3) bit by bit, an operation a byte. */
static uint64_t crc32_bits(uint64_t bytes)
{
    uint32_t crc = 0xffffffff;
    fill_text();
    for (uint64_t i = 0; i < bytes; i++) {
        crc ^= text[i % sizeof text];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* The same with a table. */
static uint64_t crc32_table(uint64_t bytes)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffff;
    fill_text();
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
        table[i] = value;
    }
    for (uint64_t i = 0; i < bytes; i++)
        crc = crc >> 8 ^ table[(crc ^ text[i % sizeof text]) & 0xff];
    return ~crc;
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The C library's qsort on arrays of 50,000 numbers, an operation an element. */
static uint64_t sort(uint64_t elements)
{
    enum { COUNT = 50000 };
    static uint32_t numbers[COUNT];
    uint64_t state = 42, sum = 0;
    for (uint64_t done = 0; done < elements; done += COUNT) {
        for (size_t i = 0; i < COUNT; i++)
            numbers[i] = (uint32_t)(next_random(&state) >> 16);
        qsort(numbers, COUNT, sizeof *numbers, compare);
        for (size_t i = 0; i < COUNT; i += 97)
            sum = mix(sum, numbers[i]);
    }
    return sum;
}

struct node {
    struct node *next;
    uint64_t value;
    uint64_t padding[6];
};

/*
 * Steps along one random cycle through 128 KiB, which a host's second-level cache holds: more would measure the
 * host's memory.
 */
static uint64_t pointer_chase(uint64_t steps)
{
    enum { NODES = 1 << 11 };
    static struct node nodes[NODES];
    static uint32_t order[NODES];
    uint64_t state = 99, sum = 0;
    if (!nodes[0].next) {
        for (uint32_t i = 0; i < NODES; i++)
            order[i] = i;
        for (uint32_t i = NODES - 1; i > 0; i--) {
            uint32_t other = (uint32_t)(next_random(&state) % (i + 1)), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        for (uint32_t i = 0; i < NODES; i++) {
            nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
            nodes[order[i]].value = i;
        }
    }
    struct node *node = &nodes[order[0]];
    for (uint64_t i = 0; i < steps; i++) {
        sum += node->value;
        node = node->next;
    }
    return mix(sum, node->value);
}

/* No compiler may make a loop of one of the calls. */
static NOINLINE uint64_t fibonacci(uint64_t n)
{
    if (n < 2)
        return n;
    uint64_t left = fibonacci(n - 1);
    __asm__ volatile("" : "+r"(left));
    uint64_t right = fibonacci(n - 2);
    __asm__ volatile("" : "+r"(right));
    return left + right;
}

/* An operation a call: fib(n) takes 2 fib(n + 1) - 1 of them. */
static uint64_t fib(uint64_t calls)
{
    uint64_t n = 1, low = 1, high = 2;
    while (2 * low - 1 < calls) {
        uint64_t next = low + high;
        low = high;
        high = next;
        n++;
    }
    return fibonacci(n);
}

#define TARGET(name, expression) \
    static NOINLINE uint64_t name(uint64_t x) { return expression; }
TARGET(target0, x + 0x1001)
TARGET(target1, x ^ x >> 3)
TARGET(target2, x * 5)
TARGET(target3, x - (x << 7))
TARGET(target4, x << 9 | x >> 55)
TARGET(target5, ~x)
TARGET(target6, x ^ 0xff00ff00ff)
TARGET(target7, x + (x >> 11))

/* Calls through a table in an order that no predictor knows. */
static uint64_t indirect_calls(uint64_t calls)
{
    static uint64_t (*const targets[8])(uint64_t) = {
        target0, target1, target2, target3, target4, target5, target6, target7,
    };
    static uint8_t order[4096];
    uint64_t state = 7, x = 1;
    if (!order[0])
        for (size_t i = 0; i < sizeof order; i++)
            order[i] = (uint8_t)(next_random(&state) >> 20 | 8);
    for (uint64_t i = 0; i < calls; i++)
        x = targets[order[i % sizeof order] & 7](x);
    return x;
}

/* The C library's memcpy, of 1 byte to 4 KiB at any alignment. */
static uint64_t copies(uint64_t count)
{
    static const uint16_t sizes[8] = {16, 7, 64, 200, 1, 1024, 33, 4096};
    static uint8_t from[1 << 14], to[1 << 14];
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i * 31);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = sizes[i & 7], source = i * 67 % 8192, target = i * 41 % 8192;
        memcpy(to + target, from + source, size);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    for (size_t i = 0; i < sizeof to; i++)
        sum = mix(sum, to[i]);
    return sum;
}

/* Counts the words, numbers, strings and comments of a generated program, an operation a byte. */
static uint64_t state_machine(uint64_t bytes)
{
    enum { BLANK, WORD, NUMBER, FRACTION, STRING, ESCAPE, SLASH, LINE, COMMENT, STAR, STATES } state = BLANK;
    static char program[1 << 14];
    uint64_t counts[STATES] = {0}, random = 5, sum = 0;
    if (!program[0]) {
        static const char alphabet[] = "abcxyz_0123456789. \n\n\"\"\\//**+-=;(){}    e7f";
        for (size_t i = 0; i < sizeof program; i++)
            program[i] = alphabet[(next_random(&random) >> 24) % (sizeof alphabet - 1)];
    }
    for (uint64_t i = 0; i < bytes; i++) {
        char c = program[i % sizeof program];
        int letter = (c >= 'a' && c <= 'z') || c == '_', digit = c >= '0' && c <= '9';
        switch (state) {
        case BLANK:
            state = letter ? WORD : digit ? NUMBER : c == '"' ? STRING : c == '/' ? SLASH : BLANK;
            break;
        case WORD:
            if (!letter && !digit)
                state = c == '"' ? STRING : c == '/' ? SLASH : BLANK;
            break;
        case NUMBER:
            if (!digit)
                state = c == '.' ? FRACTION : letter ? WORD : c == '/' ? SLASH : BLANK;
            break;
        case FRACTION:
            if (!digit)
                state = letter ? WORD : c == '"' ? STRING : BLANK;
            break;
        case STRING:
            state = c == '"' ? BLANK : c == '\\' ? ESCAPE : c == '\n' ? BLANK : STRING;
            break;
        case ESCAPE:
            state = STRING;
            break;
        case SLASH:
            state = c == '/' ? LINE : c == '*' ? COMMENT : letter ? WORD : BLANK;
            break;
        case LINE:
            state = c == '\n' ? BLANK : LINE;
            break;
        case COMMENT:
            state = c == '*' ? STAR : COMMENT;
            break;
        case STAR:
            state = c == '/' ? BLANK : c == '*' ? STAR : COMMENT;
            break;
        default:
            break;
        }
        counts[state]++;
    }
    for (int i = 0; i < STATES; i++)
        sum = mix(sum, counts[i]);
    return sum;
}

int main(int argc, char **argv)
{
    static const struct kernel kernels[] = {
        {"sieve", 16 << 20, sieve},
        {"crc32-bits", 4 << 20, crc32_bits},
        {"crc32-table", 32 << 20, crc32_table},
        {"qsort", 500000, sort},
        {"pointer-chase", 24 << 20, pointer_chase},
        /* 2 fib(36) - 1 calls, the first fib(1). */
        {"fib", 29860703, fib},
        {"indirect-calls", 6 << 20, indirect_calls},
        {"memcpy", 1 << 19, copies},
        {"state-machine", 16 << 20, state_machine},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        run_kernel(&kernels[i], argc, argv);
    return 0;
}
