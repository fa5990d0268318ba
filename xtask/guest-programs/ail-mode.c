/*
 * A guest without a kernel that asks for one mode of address translation on interrupt (-DMODE=) with H_SET_MODE and then
 * counts on its console, in real mode. Without -DMODE it leaves the partition as it was started.
 */
#include <stdint.h>

enum { H_PUT_TERM_CHAR = 0x58, H_SET_MODE = 0x31C, H_SUCCESS = 0, AIL = 3, CONSOLE = 0x71000000 };

/* The stack below the program's own memory. */
__asm__(".globl _start\n_start: bl 1f\n1: mflr 1\naddis 1,1,2\nb count");

static int64_t hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t r3 __asm__("r3") = number, r4 __asm__("r4") = a, r5 __asm__("r5") = b, r6 __asm__("r6") = c,
                                                                  r7 __asm__("r7") = d;
    __asm__ volatile("sc 1"
                     : "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
                     :
                     : "r0", "r8", "r9", "r10", "r11", "r12", "ctr", "xer", "cr0", "cr1", "cr5", "cr6", "cr7", "memory");
    return (int64_t)r3;
}

/* Eight characters and a line feed; what the console has no room for yet is said again. */
static void say(uint64_t characters)
{
    while (hypercall(H_PUT_TERM_CHAR, CONSOLE, 10, characters, 0x0d0aULL << 48) != H_SUCCESS)
        ;
}

__attribute__((noreturn, used)) void count(void)
{
#ifdef MODE
    if (hypercall(H_SET_MODE, MODE, AIL, 0, 0) != H_SUCCESS)
        for (;;)
            say(0x4e4f4d4f44452020); /* NOMODE */
#endif
    for (uint64_t n = 1;; n++) {
        uint64_t text = 0;
        for (int digit = 0; digit < 7; digit++) {
            uint64_t one = n >> 4 * digit & 15;
            text |= (one + (one < 10 ? '0' : 'a' - 10)) << 8 * digit;
        }
        say((uint64_t)'#' << 56 | text);
        for (volatile int wait = 0; wait < 2000000; wait++)
            ;
    }
}
