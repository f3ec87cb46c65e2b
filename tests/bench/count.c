/* A plug-in of qemu-user: counts the instructions of a program, of all its threads, and its calls
   into the kernel, by number, in a file that others may read meanwhile. Debian's qemu-user ships no
   header; what is declared here is from "QEMU TCG Plugins", version 1 of that interface.

     gcc -shared -fPIC -O2 -o count.so count.c
     qemu-aarch64 -plugin ./count.so,counts=FILE hbb serve ...

   The file is an array of 64-bit numbers: instructions, then the calls of each number below 1023. */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS_MAX 1023

struct qemu_plugin_tb;
typedef void (*on_translated)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*on_executed)(unsigned processor, void *with);
typedef void (*on_call)(uint64_t id, unsigned processor, int64_t number, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, on_translated);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_executed, int flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, on_call);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

int qemu_plugin_version = 1;

static struct { uint64_t instructions, calls[CALLS_MAX]; } *counted;

static void add(uint64_t *to, uint64_t some) { __atomic_fetch_add(to, some, __ATOMIC_RELAXED); }

static void executed(unsigned processor, void *instructions) {
    (void)processor;
    add(&counted->instructions, (uintptr_t)instructions);
}

static void translated(uint64_t id, struct qemu_plugin_tb *block) {
    (void)id;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, instructions);
}

static void called(uint64_t id, unsigned processor, int64_t number, uint64_t a, uint64_t b,
                   uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)processor, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number >= 0 && number < CALLS_MAX) add(&counted->calls[number], 1);
}

int qemu_plugin_install(uint64_t id, const void *about, int many, char **words) {
    (void)about;
    if (many != 1 || strncmp(words[0], "counts=", 7)) return 1;
    int file = open(words[0] + 7, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *counted)) return 1;
    counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counted == MAP_FAILED) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
