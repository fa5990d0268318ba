/* kexec KERNEL INITRD COMMAND-LINE [crash]: loads a kernel with kexec_load(2) and starts it; with "crash" it is
 * started when this kernel panics (crashkernel= has reserved its memory).
 *
 * A kernel is entered with r3 = flattened tree, r4 = its address, r5 = 0 (Linux Documentation/arch/powerpc/booting.rst).
 * The old kernel enters a segment of code with r3 = number of the processor, and copies its first 256 bytes to real
 * address 0, where the other processors go on at 0x60: so these bytes are those of the new kernel, but for the first
 * word. The tree is the one that this kernel has, with another /chosen. */
#include <dirent.h>
#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TREE "/proc/device-tree"
#define ON_CRASH 1UL
/* Largest page of any guest: segments begin and end at multiples. */
#define PAGE 0x10000UL
/* What the slaves of a kernel run at real address 0, and where the kernel says that it stays where it is. */
#define HEAD_BYTES 0x100
#define RUN_AT_LOAD 0x5c
/* The memory at 0 that a crash kernel has for its vectors. */
#define LOW_BYTES 0x10000UL
/* Without "crash": behind where any kernel runs, and not a round number: an emulator or a cache may have places for
 * addresses by their low bits, and the kernel copies itself down from here. */
#define BASE 0x10010000UL

struct segment {
    void *data;
    size_t bytes;
    uint64_t address;
    size_t room;
};

struct blob {
    char *data;
    size_t bytes;
};

static struct blob structure, strings;
static const char *command_line;
static uint64_t initrd_start, initrd_end, usable_end;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void append(struct blob *blob, const void *data, size_t bytes)
{
    blob->data = realloc(blob->data, blob->bytes + bytes + 4);
    if (!blob->data)
        fail("memory");
    if (bytes)
        memcpy(blob->data + blob->bytes, data, bytes);
    blob->bytes += bytes;
}

static void append_word(struct blob *blob, uint32_t value)
{
    value = htobe32(value);
    append(blob, &value, sizeof value);
}

static void pad(struct blob *blob)
{
    while (blob->bytes % 4)
        append(blob, "", 1);
}

static void property(const char *name, const void *value, size_t bytes)
{
    append_word(&structure, 3);
    append_word(&structure, bytes);
    append_word(&structure, strings.bytes);
    append(&strings, name, strlen(name) + 1);
    append(&structure, value, bytes);
    pad(&structure);
}

static void number(const char *name, uint64_t value)
{
    value = htobe64(value);
    property(name, &value, sizeof value);
}

static struct blob read_file(const char *path)
{
    struct blob blob = { 0 };
    char buffer[1 << 16];
    ssize_t count;
    int file = open(path, O_RDONLY);

    if (file < 0)
        fail(path);
    while ((count = read(file, buffer, sizeof buffer)) > 0)
        append(&blob, buffer, count);
    if (count < 0)
        fail(path);
    close(file);
    return blob;
}

/* A number of /proc/device-tree, of one or two cells. */
static uint64_t number_at(const char *path)
{
    struct blob blob = read_file(path);
    uint64_t value = 0;

    for (size_t i = 0; i < blob.bytes; i++)
        value = value << 8 | (unsigned char)blob.data[i];
    return value;
}

/* What is about this kernel and not about the machine. */
static int is_of_this_kernel(const char *name)
{
    static const char *const names[] = { "bootargs", "linux,initrd-start", "linux,initrd-end", "linux,kernel-end",
        "linux,crashkernel-base", "linux,crashkernel-size", "linux,htab-base", "linux,htab-size",
        "linux,memory-limit", "linux,usable-memory", "name" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return 1;
    return 0;
}

static void node(const char *path, const char *name)
{
    char child[PATH_MAX];
    struct dirent **entries;
    struct stat status;
    int count = scandir(path, &entries, NULL, alphasort), n;

    if (count < 0)
        fail(path);
    append_word(&structure, 1);
    append(&structure, name, strlen(name) + 1);
    pad(&structure);
    for (n = 0; n < count; n++) {
        struct blob value;

        snprintf(child, sizeof child, "%s/%s", path, entries[n]->d_name);
        if (stat(child, &status) || !S_ISREG(status.st_mode) || is_of_this_kernel(entries[n]->d_name))
            continue;
        value = read_file(child);
        property(entries[n]->d_name, value.data, value.bytes);
        free(value.data);
    }
    if (!strcmp(name, "chosen")) {
        property("bootargs", command_line, strlen(command_line) + 1);
        number("linux,initrd-start", initrd_start);
        number("linux,initrd-end", initrd_end);
    }
    if (usable_end && !strncmp(name, "memory@", 7)) {
        uint64_t range[2] = { 0, htobe64(usable_end) };

        property("linux,usable-memory", range, sizeof range);
    }
    for (n = 0; n < count; n++) {
        snprintf(child, sizeof child, "%s/%s", path, entries[n]->d_name);
        if (entries[n]->d_name[0] != '.' && !lstat(child, &status) && S_ISDIR(status.st_mode))
            node(child, entries[n]->d_name);
        free(entries[n]);
    }
    free(entries);
    append_word(&structure, 2);
}

/* The tree as a blob, with `reserved` pairs of address and size. */
static struct blob flatten(const uint64_t (*reserved)[2], size_t count)
{
    struct blob tree = { 0 };
    uint32_t head = 40, map = 16 * (count + 1);

    node(TREE, "");
    append_word(&structure, 9);
    append_word(&tree, 0xd00dfeed);
    append_word(&tree, head + map + structure.bytes + strings.bytes);
    append_word(&tree, head + map);
    append_word(&tree, head + map + structure.bytes);
    append_word(&tree, head);
    append_word(&tree, 17);
    append_word(&tree, 16);
    append_word(&tree, 0);
    append_word(&tree, strings.bytes);
    append_word(&tree, structure.bytes);
    for (size_t i = 0; i <= count; i++) {
        uint64_t range[2] = { 0, 0 };

        if (i < count) {
            range[0] = htobe64(reserved[i][0]);
            range[1] = htobe64(reserved[i][1]);
        }
        append(&tree, range, sizeof range);
    }
    append(&tree, structure.data, structure.bytes);
    append(&tree, strings.data, strings.bytes);
    return tree;
}

static struct segment place(struct blob blob, uint64_t address, size_t room)
{
    struct segment segment = { blob.data, blob.bytes, address, (room + PAGE - 1) & -PAGE };

    return segment;
}

static uint64_t behind(const struct segment *segment)
{
    return segment->address + segment->room;
}

/* lis and ori of an address below 2 GiB. */
static uint32_t *load(uint32_t *code, uint32_t reg, uint32_t value)
{
    *code++ = 0x3c000000 | reg << 21 | value >> 16;
    *code++ = 0x60000000 | reg << 21 | reg << 16 | (value & 0xffff);
    return code;
}

int main(int argc, char **argv)
{
    int crash = argc > 4 && !strcmp(argv[4], "crash");
    struct segment segments[4];
    static uint32_t entry[HEAD_BYTES / 4 + 16];
    uint32_t *code = entry + HEAD_BYTES / 4;
    uint64_t base = BASE, reserved[2][2], fixed = 0;
    struct blob file, initrd, image = { 0 };
    Elf64_Ehdr *elf;
    Elf64_Phdr *header;

    if (argc < 4) {
        fprintf(stderr, "usage: kexec KERNEL INITRD COMMAND-LINE [crash]\n");
        return 2;
    }
    command_line = argv[3];
    if (crash) {
        base = number_at(TREE "/chosen/linux,crashkernel-base");
        usable_end = base + number_at(TREE "/chosen/linux,crashkernel-size");
    }
    file = read_file(argv[1]);
    initrd = read_file(argv[2]);
    elf = (Elf64_Ehdr *)file.data;
    if (file.bytes < sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG)) {
        fprintf(stderr, "%s: no ELF file\n", argv[1]);
        return 1;
    }
    header = (Elf64_Phdr *)(file.data + elf->e_phoff);
    while (header->p_type != PT_LOAD)
        header++;
    image.data = file.data + header->p_offset;
    image.bytes = header->p_filesz;
    if (crash)
        *(uint32_t *)(image.data + RUN_AT_LOAD) = 1;

    segments[0] = place(image, base, header->p_memsz + (1 << 20));
    segments[1] = place(initrd, behind(&segments[0]), initrd.bytes);
    initrd_start = segments[1].address;
    initrd_end = initrd_start + initrd.bytes;
    reserved[fixed][0] = number_at(TREE "/rtas/linux,rtas-base");
    reserved[fixed++][1] = number_at(TREE "/rtas/rtas-size");
    if (crash) {
        reserved[fixed][0] = LOW_BYTES;
        reserved[fixed++][1] = base - LOW_BYTES;
    }
    file = flatten((const uint64_t (*)[2])reserved, fixed);
    segments[2] = place(file, behind(&segments[1]), file.bytes);

    memcpy(entry, image.data, HEAD_BYTES);
    entry[0] = 0x48000000 | HEAD_BYTES;         /* b    HEAD_BYTES */
    code = load(code, 6, segments[2].address);
    *code++ = 0x38e0001c;                       /* li   r7,28: boot_cpuid_phys */
    *code++ = 0x7c663d2c;                       /* stwbrx r3,r6,r7 */
    code = load(code, 4, base);
    *code++ = 0x7cc33378;                       /* mr   r3,r6 */
    *code++ = 0x38a00000;                       /* li   r5,0 */
    *code++ = 0x7c8903a6;                       /* mtctr r4 */
    *code++ = 0x4e800420;                       /* bctr */
    segments[3] = place((struct blob){ (char *)entry, sizeof entry }, behind(&segments[2]), sizeof entry);

    if (syscall(SYS_kexec_load, segments[3].address, 4, segments, crash ? ON_CRASH : 0))
        fail("kexec_load");
    if (crash)
        return 0;
    sync();
    reboot(RB_KEXEC);
    fail("reboot");
}
