/*
 * Floating-point kernels. Each step is rounded on its own, and what is fused is written so: the results are the same bits on
 * every machine.
 */
#pragma GCC optimize("fp-contract=off")
#include "bench.h"

#ifdef __x86_64__
#define FUSED __attribute__((target("fma")))
#else
#define FUSED
#endif

/* Without the library's errno. */
static inline double square_root(double value)
{
    double root;
#ifdef __x86_64__
    __asm__("sqrtsd %1, %0" : "=x"(root) : "x"(value));
#else
    __asm__("fsqrt %0, %1" : "=d"(root) : "d"(value));
#endif
    return root;
}

static uint64_t bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The sun and four planets going around it; an operation is a step of time. Square roots, divisions, multiplications, sums. */
static uint64_t nbody(uint64_t steps)
{
    enum { BODIES = 5 };
    struct body {
        double x[3], v[3], mass;
    } bodies[BODIES] = {
        {{0, 0, 0}, {0, 0, 0}, 39.5},
        {{4.84, -1.16, -0.1}, {0.6, 2.81, -0.025}, 0.0377},
        {{8.34, 4.12, -0.4}, {-1.01, 1.82, 0.0084}, 0.0113},
        {{12.9, -15.1, -0.22}, {1.08, 0.868, -0.0108}, 0.00172},
        {{15.4, -25.9, 0.18}, {0.979, 0.594, -0.0347}, 0.00203},
    };
    const double dt = 0.01;
    for (uint64_t step = 0; step < steps; step++) {
        for (int i = 0; i < BODIES; i++) {
            struct body *a = &bodies[i];
            for (int j = i + 1; j < BODIES; j++) {
                struct body *b = &bodies[j];
                double d[3], square = 0;
                for (int k = 0; k < 3; k++) {
                    d[k] = a->x[k] - b->x[k];
                    square += d[k] * d[k];
                }
                double magnitude = dt / (square * square_root(square));
                for (int k = 0; k < 3; k++) {
                    a->v[k] -= d[k] * (b->mass * magnitude);
                    b->v[k] += d[k] * (a->mass * magnitude);
                }
            }
        }
        for (int i = 0; i < BODIES; i++)
            for (int k = 0; k < 3; k++)
                bodies[i].x[k] += dt * bodies[i].v[k];
    }
    uint64_t sum = 0;
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            sum = mix(sum, bits(bodies[i].x[k]));
    return sum;
}

/* Products of square matrices, one element after the other; an operation is a multiplication with its addition, fused. */
__attribute__((optimize("no-tree-vectorize"))) FUSED static uint64_t matmul(uint64_t operations)
{
    enum { N = 64 };
    static double a[N][N], b[N][N], c[N][N];
    uint64_t state = 1, sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(next_random(&state) >> 40) / (1 << 20);
            b[i][j] = (double)(next_random(&state) >> 40) / (1 << 22);
        }
    for (uint64_t done = 0; done < operations; done += N * N * N) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double element = 0;
                for (int k = 0; k < N; k++)
                    element = __builtin_fma(a[i][k], b[k][j], element);
                c[i][j] = element;
            }
        a[0][0] = c[N - 1][N - 1] / c[0][0];
    }
    for (int i = 0; i < N; i++)
        sum = mix(sum, bits(c[i][i]));
    return sum;
}

/* y = a x + y in single precision, one element after the other. */
__attribute__((optimize("no-tree-vectorize"))) FUSED static uint64_t saxpy(uint64_t operations)
{
    enum { N = 4096 };
    static float x[N], y[N];
    uint64_t state = 7, sum = 0;
    for (int i = 0; i < N; i++)
        x[i] = (float)(next_random(&state) >> 44) / 4096, y[i] = (float)i;
    for (uint64_t done = 0; done < operations; done += N)
        for (int i = 0; i < N; i++)
            y[i] = __builtin_fmaf(0.25f, x[i], y[i]);
    for (int i = 0; i < N; i++)
        sum = mix(sum, bits(y[i]));
    return sum;
}

typedef float floats __attribute__((vector_size(16)));

/* The same, four elements at a time; an operation is an element. */
static uint64_t saxpy_vectors(uint64_t operations)
{
    enum { N = 1024 };
    static floats x[N], y[N];
    uint64_t state = 7, sum = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 4; k++)
            x[i][k] = (float)(next_random(&state) >> 44) / 4096, y[i][k] = (float)i;
    for (uint64_t done = 0; done < operations; done += 4 * N)
        for (int i = 0; i < N; i++)
            y[i] = 0.3f * x[i] + y[i];
    for (int i = 0; i < N; i++)
        sum = mix(sum, bits(y[i][0] + y[i][3]));
    return sum;
}

/* Integers in double format, as some languages have them: every result is exact. An operation is a step. */
static uint64_t exact(uint64_t operations)
{
    double sum = 1;
    for (uint64_t i = 0; i < operations; i++) {
        sum = sum * 3 + (double)(int)(i & 1023);
        while (sum > 1099511627776.0)
            sum -= 1099511627776.0;
    }
    return bits(sum);
}

/* Points of the Mandelbrot set; an operation is one step of one point. */
static uint64_t mandelbrot(uint64_t operations)
{
    uint64_t sum = 0, done = 0;
    for (int line = 0; done < operations; line++) {
        double ci = (double)(line % 200) / 100 - 1;
        for (int column = 0; column < 300 && done < operations; column++) {
            double cr = (double)column / 100 - 2, re = 0, im = 0;
            int n = 0;
            while (n < 100 && done < operations) {
                double re2 = re * re, im2 = im * im;
                if (re2 + im2 > 4)
                    break;
                im = 2 * re * im + ci;
                re = re2 - im2 + cr;
                n++, done++;
            }
            done++;
            sum = mix(sum, (uint64_t)n);
        }
    }
    return sum;
}

int main(int argc, char **argv)
{
    static const struct kernel kernels[] = {
        {"nbody", 100000, nbody},
        {"matmul", 8 << 20, matmul},
        {"saxpy", 8 << 20, saxpy},
        {"saxpy-vectors", 16 << 20, saxpy_vectors},
        {"mandelbrot", 4 << 20, mandelbrot},
        {"exact", 4 << 20, exact},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        run_kernel(&kernels[i], argc, argv);
    return 0;
}
