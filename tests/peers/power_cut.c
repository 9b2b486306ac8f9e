/* A power cut below the file calls, for tests/peers/crashes.py: loaded before the program (LD_PRELOAD), it remembers how much of
 * each file that was opened for writing below $POWER_STORE has been flushed (fsync, fdatasync). At the $POWER_AT-th flush of all
 * processes together, before that one is done, every such file of this process is cut to what was flushed, and the leader of
 * the session and this process's group are killed. What other processes have not flushed stays: more than a power cut would leave. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST 4096
static struct { int used; off_t flushed; } files[MOST];
static unsigned *count;
static unsigned at;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_COUNT"), *limit = getenv("POWER_AT");
    if (!path || !limit) return;
    at = (unsigned)atoi(limit);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(unsigned)) != 0) return;
    void *map = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    count = map == MAP_FAILED ? NULL : map;
}

static int is_of_store(int fd) {
    char link[64], path[4096];
    const char *store = getenv("POWER_STORE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || !store) return 0;
    path[length] = 0;
    /* SQLite promises nothing for its own files but to be whole, and the index is derived. */
    return strncmp(path, store, strlen(store)) == 0 && strstr(path, "index.sqlite") == NULL;
}

static int noted(int fd, int flags) {
    struct stat status;
    if (fd >= 0 && fd < MOST && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        files[fd].used = is_of_store(fd);
        files[fd].flushed = status.st_size;
    }
    return fd;
}

static int flushed(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (count && fd >= 0 && fd < MOST && files[fd].used) {
        if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) == at) {
            for (int i = 0; i < MOST; i++)
                if (files[i].used && ftruncate(i, files[i].flushed) != 0) continue;
            kill(getsid(0), SIGKILL);
            kill(0, SIGKILL);
        }
        int result = real(fd);
        struct stat status;
        if (result == 0 && fstat(fd, &status) == 0) files[fd].flushed = status.st_size;
        return result;
    }
    return real(fd);
}

int fsync(int fd) { return flushed(fd, "fsync"); }
int fdatasync(int fd) { return flushed(fd, "fdatasync"); }

#define OPEN(NAME)                                                                                   \
    int NAME(const char *path, int flags, ...) {                                                     \
        va_list rest;                                                                                \
        va_start(rest, flags);                                                                       \
        mode_t mode = va_arg(rest, mode_t);                                                          \
        va_end(rest);                                                                                \
        int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #NAME); \
        return noted(real(path, flags, mode), flags);                                                \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < MOST) files[fd].used = 0;
    return real(fd);
}
