/* Faults below the file calls, for tests/peers/crashes.py: loaded before the program (LD_PRELOAD), it counts the calls on what lies
 * below $POWER_STORE, of all processes together in the file $POWER_COUNT.
 *
 * A power cut ($POWER_AT): it remembers how much of each file that was opened for writing has been flushed (fsync, fdatasync). At the
 * n-th flush, before that one is done, every such file of this process is cut to what was flushed, and the leader of the session and
 * this process's group are killed. What other processes have not flushed stays: more than a power cut would leave.
 *
 * An error ($FAULT_AT, $FAULT_KIND, $FAULT_ERROR): the n-th call of a kind fails with this errno, and with $FAULT_ON every one from
 * then on. Kinds: open (for writing), write, sync, remove, mkdir, truncate, link, rename, read; $FAULT_WHERE is store (all but the
 * index), index or all. Renames of temporary files do not go through the C library: crashes.py has strace for them.
 *
 * A clock that jumps ($CLOCK_JUMPS, a seed): every half second the time of day is up to half a day off in either direction. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define REAL(NAME) ((__typeof__(&NAME))dlsym(RTLD_NEXT, #NAME))

static struct { int used; off_t flushed; } files[MOST];
static unsigned *count;
static unsigned cut_at, fault_at;
static int fault_errno, fault_goes_on;
static const char *fault_kind, *fault_where, *store;
static unsigned long clock_seed;

static unsigned number_of(const char *name) {
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_COUNT");
    store = getenv("POWER_STORE");
    cut_at = number_of("POWER_AT");
    fault_at = number_of("FAULT_AT");
    fault_errno = (int)number_of("FAULT_ERROR");
    fault_goes_on = (int)number_of("FAULT_ON");
    fault_kind = getenv("FAULT_KIND");
    fault_where = getenv("FAULT_WHERE");
    clock_seed = number_of("CLOCK_JUMPS");
    if (!path || !store) return;
    int fd = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || REAL(ftruncate)(fd, sizeof(unsigned)) != 0) return;
    void *map = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    count = map == MAP_FAILED ? NULL : map;
}

/* Whether a path lies below the store, in the part of it that is meant. */
static int is_meant(const char *path, const char *where) {
    size_t length = strlen(store);
    if (strncmp(path, store, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
    int is_index = strstr(path, "index.sqlite") != NULL;
    return strcmp(where, "all") == 0 || (strcmp(where, "index") == 0) == is_index;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

/* Whether this call is to fail; errno is set then. */
static int fails_at(const char *kind, const char *path) {
    if (!count || !fault_at || !fault_kind || strcmp(kind, fault_kind) != 0) return 0;
    if (!is_meant(path, fault_where ? fault_where : "store")) return 0;
    unsigned number = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    if (number != fault_at && !(fault_goes_on && number > fault_at)) return 0;
    errno = fault_errno;
    return 1;
}

static int fails(const char *kind, int fd) {
    char path[4096];
    int before = errno;
    if (!count || !fault_at || !fault_kind || strcmp(kind, fault_kind) != 0 || !path_of(fd, path, sizeof path)) {
        errno = before;
        return 0;
    }
    errno = before;
    return fails_at(kind, path);
}

static int fails_by_name(const char *kind, int folder, const char *name) {
    char path[8192];
    if (!count || !fault_at || !fault_kind || strcmp(kind, fault_kind) != 0) return 0;
    if (name[0] == '/') {
        snprintf(path, sizeof path, "%s", name);
    } else {
        char at[4096];
        int found = folder == AT_FDCWD ? getcwd(at, sizeof at) != NULL : path_of(folder, at, sizeof at);
        if (!found) return 0;
        snprintf(path, sizeof path, "%s/%s", at, name);
    }
    return fails_at(kind, path);
}

static int noted(int fd, int flags) {
    struct stat status;
    char path[4096];
    if (cut_at && fd >= 0 && fd < MOST && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        /* SQLite promises nothing for its own files but to be whole, and the index is derived. */
        files[fd].used = store && path_of(fd, path, sizeof path) && is_meant(path, "store");
        files[fd].flushed = status.st_size;
    }
    return fd;
}

static int flushed(int fd, int (*real)(int)) {
    if (fails("sync", fd)) return -1;
    if (count && cut_at && fd >= 0 && fd < MOST && files[fd].used) {
        if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) == cut_at) {
            for (int i = 0; i < MOST; i++)
                if (files[i].used && REAL(ftruncate)(i, files[i].flushed) != 0) continue;
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

int fsync(int fd) { return flushed(fd, REAL(fsync)); }
int fdatasync(int fd) { return flushed(fd, REAL(fdatasync)); }

#define MODE(FLAGS)                 \
    va_list rest;                   \
    va_start(rest, FLAGS);          \
    mode_t mode = va_arg(rest, mode_t); \
    va_end(rest)
#define IS_WRITING(FLAGS) (((FLAGS) & O_ACCMODE) != O_RDONLY || ((FLAGS) & O_CREAT))
#define OPEN(NAME)                                                                       \
    int NAME(const char *path, int flags, ...) {                                         \
        MODE(flags);                                                                     \
        if (IS_WRITING(flags) && fails_by_name("open", AT_FDCWD, path)) return -1;       \
        return noted(REAL(NAME)(path, flags, mode), flags);                              \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(NAME)                                                                     \
    int NAME(int folder, const char *path, int flags, ...) {                             \
        MODE(flags);                                                                     \
        if (IS_WRITING(flags) && fails_by_name("open", folder, path)) return -1;         \
        return noted(REAL(NAME)(folder, path, flags, mode), flags);                      \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < MOST) files[fd].used = 0;
    return REAL(close)(fd);
}

#define CALL(RESULT, NAME, KIND, PARAMETERS, ...) \
    RESULT NAME PARAMETERS { return fails(KIND, fd) ? -1 : REAL(NAME)(__VA_ARGS__); }
CALL(ssize_t, write, "write", (int fd, const void *from, size_t n), fd, from, n)
CALL(ssize_t, pwrite, "write", (int fd, const void *from, size_t n, off_t at), fd, from, n, at)
CALL(ssize_t, pwrite64, "write", (int fd, const void *from, size_t n, off64_t at), fd, from, n, at)
CALL(ssize_t, writev, "write", (int fd, const struct iovec *from, int n), fd, from, n)
CALL(ssize_t, sendfile64, "write", (int fd, int from, off64_t *at, size_t n), fd, from, at, n)
CALL(ssize_t, copy_file_range, "write", (int from, off64_t *at, int fd, off64_t *to, size_t n, unsigned flags), from, at, fd, to, n, flags)
CALL(int, ftruncate, "truncate", (int fd, off_t length), fd, length)
CALL(int, ftruncate64, "truncate", (int fd, off64_t length), fd, length)
CALL(ssize_t, read, "read", (int fd, void *to, size_t n), fd, to, n)
CALL(ssize_t, pread, "read", (int fd, void *to, size_t n, off_t at), fd, to, n, at)
CALL(ssize_t, pread64, "read", (int fd, void *to, size_t n, off64_t at), fd, to, n, at)

#define NAMED(NAME, KIND, FOLDER, PATH, PARAMETERS, ...) \
    int NAME PARAMETERS { return fails_by_name(KIND, FOLDER, PATH) ? -1 : REAL(NAME)(__VA_ARGS__); }
NAMED(rename, "rename", AT_FDCWD, to, (const char *from, const char *to), from, to)
NAMED(unlink, "remove", AT_FDCWD, path, (const char *path), path)
NAMED(unlinkat, "remove", folder, path, (int folder, const char *path, int flags), folder, path, flags)
NAMED(rmdir, "remove", AT_FDCWD, path, (const char *path), path)
NAMED(mkdir, "mkdir", AT_FDCWD, path, (const char *path, mode_t mode), path, mode)
NAMED(symlink, "link", AT_FDCWD, path, (const char *from, const char *path), from, path)
NAMED(linkat, "link", folder, path, (int old, const char *from, int folder, const char *path, int flags), old, from, folder, path, flags)

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = REAL(clock_gettime)(which, now);
    struct timespec steady;
    if (result == 0 && which == CLOCK_REALTIME && clock_seed && REAL(clock_gettime)(CLOCK_MONOTONIC, &steady) == 0) {
        uint64_t stretch = (uint64_t)steady.tv_sec * 2 + (uint64_t)(steady.tv_nsec / 500000000);
        uint64_t draw = (stretch + clock_seed) * 0x9e3779b97f4a7c15u;
        now->tv_sec += (time_t)((draw >> 33) % 86400) - 43200;
    }
    return result;
}
