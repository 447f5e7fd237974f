/* Faults of the operating system, put between a program and its C library with LD_PRELOAD.
 *
 * Only calls on files under FAULT_UNDER (a real path) count, and on relative paths. The call number
 * FAULT_AT of the class FAULT_CALL fails as FAULT_DO says: an error by its number, "short" (half of the
 * bytes asked for), "kill" or "term" (a signal to the program itself). With FAULT_STICKY all later calls of the
 * class fail as well, as on a full disk. At its end the program's calls are counted in the file FAULT_COUNTS.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, SYNC, RENAME, UNLINK, MKDIR, LOCK, SEEK, STAT, LIST, CLASSES };
static const char *const NAMES[CLASSES] = {"open",  "read", "write", "sync", "rename", "unlink",
                                           "mkdir", "lock", "seek",  "stat", "list"};
enum { NONE = 0, SHORT = -1 };

static atomic_long counts[CLASSES];
static long wanted_at;
static int wanted_class = -1, sticky, error_number, is_short, signal_number;
static char under[4096];
static size_t under_length;

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("FAULT_UNDER"), *call = getenv("FAULT_CALL"), *what = getenv("FAULT_DO");
    if (dir == NULL) return;
    strncpy(under, dir, sizeof under - 1);
    under_length = strlen(under);
    if (call == NULL || what == NULL) return;
    for (int i = 0; i < CLASSES; i++)
        if (strcmp(call, NAMES[i]) == 0) wanted_class = i;
    wanted_at = atol(getenv("FAULT_AT"));
    sticky = getenv("FAULT_STICKY") != NULL;
    if (strcmp(what, "short") == 0) is_short = 1;
    else if (strcmp(what, "kill") == 0) signal_number = SIGKILL;
    else if (strcmp(what, "term") == 0) signal_number = SIGTERM;
    else error_number = atoi(what);
}

__attribute__((destructor)) static void end(void) {
    const char *file = getenv("FAULT_COUNTS");
    if (file == NULL) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    char line[64];
    for (int i = 0; i < CLASSES; i++) {
        int length = snprintf(line, sizeof line, "%s %ld\n", NAMES[i], (long)counts[i]);
        syscall(SYS_write, fd, line, length);
    }
    syscall(SYS_close, fd);
}

static int is_under(const char *path) {
    if (under_length == 0 || path == NULL || path[0] == 0) return 0;
    return path[0] != '/' || strncmp(path, under, under_length) == 0;
}

static int is_under_fd(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (under_length == 0 || fd <= 2) return 0;
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return path[0] == '/' && strncmp(path, under, under_length) == 0;
}

/* Counts a call, and says how it fails: an error number, SHORT, or NONE. */
static int fault(int class, int counted) {
    if (!counted) return NONE;
    long n = atomic_fetch_add(&counts[class], 1) + 1;
    if (class != wanted_class || n < wanted_at || (n > wanted_at && !sticky)) return NONE;
    if (signal_number != 0 && n == wanted_at) {
        syscall(SYS_kill, getpid(), signal_number);
        return NONE;
    }
    return is_short ? SHORT : error_number;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(class, counted, failed)                   \
    do {                                               \
        int failure_ = fault(class, counted);          \
        if (failure_ > 0) {                            \
            errno = failure_;                          \
            return failed;                             \
        }                                              \
    } while (0)
#define SHORTEN(class, counted, size, failed)          \
    do {                                               \
        int failure_ = fault(class, counted);          \
        if (failure_ > 0) {                            \
            errno = failure_;                          \
            return failed;                             \
        }                                              \
        if (failure_ == SHORT && size > 1) size /= 2;  \
    } while (0)
#define MODE(flags, mode)                              \
    mode_t mode = 0;                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {             \
        va_list list;                                  \
        va_start(list, flags);                         \
        mode = va_arg(list, mode_t);                   \
        va_end(list);                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    FAIL(OPEN, is_under(path), -1);
    return NEXT(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    FAIL(OPEN, is_under(path), -1);
    return NEXT(open64)(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    FAIL(OPEN, is_under(path), -1);
    return NEXT(openat)(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    FAIL(OPEN, is_under(path), -1);
    return NEXT(openat64)(folder, path, flags, mode);
}
FILE *fopen(const char *path, const char *mode) {
    FAIL(OPEN, is_under(path), NULL);
    return NEXT(fopen)(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    FAIL(OPEN, is_under(path), NULL);
    return NEXT(fopen64)(path, mode);
}
ssize_t read(int fd, void *bytes, size_t size) {
    SHORTEN(READ, is_under_fd(fd), size, -1);
    return NEXT(read)(fd, bytes, size);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t at) {
    SHORTEN(READ, is_under_fd(fd), size, -1);
    return NEXT(pread)(fd, bytes, size, at);
}
ssize_t pread64(int fd, void *bytes, size_t size, off64_t at) {
    SHORTEN(READ, is_under_fd(fd), size, -1);
    return NEXT(pread64)(fd, bytes, size, at);
}
size_t fread(void *bytes, size_t size, size_t count, FILE *file) {
    SHORTEN(READ, is_under_fd(fileno(file)), count, 0);
    return NEXT(fread)(bytes, size, count, file);
}
ssize_t write(int fd, const void *bytes, size_t size) {
    SHORTEN(WRITE, is_under_fd(fd), size, -1);
    return NEXT(write)(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    SHORTEN(WRITE, is_under_fd(fd), size, -1);
    return NEXT(pwrite)(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    SHORTEN(WRITE, is_under_fd(fd), size, -1);
    return NEXT(pwrite64)(fd, bytes, size, at);
}
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file) {
    SHORTEN(WRITE, is_under_fd(fileno(file)), count, 0);
    return NEXT(fwrite)(bytes, size, count, file);
}
int fclose(FILE *file) {
    int failure = fault(WRITE, is_under_fd(fileno(file)));
    int status = NEXT(fclose)(file);
    if (failure > 0) errno = failure;
    return failure > 0 ? EOF : status;
}
int fsync(int fd) {
    FAIL(SYNC, is_under_fd(fd), -1);
    return NEXT(fsync)(fd);
}
int fdatasync(int fd) {
    FAIL(SYNC, is_under_fd(fd), -1);
    return NEXT(fdatasync)(fd);
}
int rename(const char *from, const char *to) {
    FAIL(RENAME, is_under(to), -1);
    return NEXT(rename)(from, to);
}
int unlink(const char *path) {
    FAIL(UNLINK, is_under(path), -1);
    return NEXT(unlink)(path);
}
int unlinkat(int folder, const char *path, int flags) {
    FAIL(UNLINK, is_under(path), -1);
    return NEXT(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) {
    FAIL(UNLINK, is_under(path), -1);
    return NEXT(rmdir)(path);
}
int remove(const char *path) {
    FAIL(UNLINK, is_under(path), -1);
    return NEXT(remove)(path);
}
int mkdir(const char *path, mode_t mode) {
    FAIL(MKDIR, is_under(path), -1);
    return NEXT(mkdir)(path, mode);
}
int flock(int fd, int operation) {
    FAIL(LOCK, is_under_fd(fd), -1);
    return NEXT(flock)(fd, operation);
}
off_t lseek(int fd, off_t at, int whence) {
    FAIL(SEEK, is_under_fd(fd), -1);
    return NEXT(lseek)(fd, at, whence);
}
off64_t lseek64(int fd, off64_t at, int whence) {
    FAIL(SEEK, is_under_fd(fd), -1);
    return NEXT(lseek64)(fd, at, whence);
}
int fseeko(FILE *file, off_t at, int whence) {
    FAIL(SEEK, is_under_fd(fileno(file)), -1);
    return NEXT(fseeko)(file, at, whence);
}
int fseeko64(FILE *file, off64_t at, int whence) {
    FAIL(SEEK, is_under_fd(fileno(file)), -1);
    return NEXT(fseeko64)(file, at, whence);
}
int stat64(const char *path, struct stat64 *to) {
    FAIL(STAT, is_under(path), -1);
    return NEXT(stat64)(path, to);
}
int lstat64(const char *path, struct stat64 *to) {
    FAIL(STAT, is_under(path), -1);
    return NEXT(lstat64)(path, to);
}
int statx(int folder, const char *path, int flags, unsigned mask, struct statx *to) {
    FAIL(STAT, path[0] != 0 ? is_under(path) : is_under_fd(folder), -1);
    return NEXT(statx)(folder, path, flags, mask, to);
}
DIR *opendir(const char *path) {
    FAIL(LIST, is_under(path), NULL);
    return NEXT(opendir)(path);
}
struct dirent64 *readdir64(DIR *folder) {
    FAIL(LIST, is_under_fd(dirfd(folder)), NULL);
    return NEXT(readdir64)(folder);
}
