//! Libraries that stand in for calls of the C library, so that a call is slow, or fails, when a test says so. There is a C
//! compiler wherever Rust links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every `fsync` takes as long as the file `SLOW_DISK` is there.
pub(crate) const SLOW_DISK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void wait(void) {
    const char *file = getenv("SLOW_DISK");
    while (file && access(file, F_OK) == 0) usleep(1000);
}
int fsync(int fd) { wait(); return (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { wait(); return (int)syscall(SYS_fdatasync, fd); }
"#;

/// A message of a shim fails, once for each time that the file `FAIL_SEND` is there; and the keeper cannot fork as long as
/// the file `NO_FORK` is.
pub(crate) const FAILING_CALLS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static int named(const char *start, size_t length) {
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    return strncmp(name, start, length) == 0;
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    const char *file = getenv("FAIL_SEND");
    if (file && named("core-shim ", 10) && unlink(file) == 0) { errno = EPIPE; return -1; }
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (!real) real = dlsym(RTLD_NEXT, "sendmsg");
    return real(fd, message, flags);
}
long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    const char *file = getenv("NO_FORK");
    if (number == SYS_clone3 && file && named("core-shim", 10) && access(file, F_OK) == 0) { errno = EAGAIN; return -1; }
    static long (*real)(long, ...);
    if (!real) real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
"#;

/// Compiles a library into a folder; the value for `LD_PRELOAD`.
pub(crate) fn library(folder: &Path, source: &str) -> PathBuf {
    let (file, library) = (folder.join("preloaded.c"), folder.join("preloaded.so"));
    fs::write(&file, source).expect("a file");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file).arg("-ldl").status();
    assert!(made.expect("cc runs").success());
    library
}
