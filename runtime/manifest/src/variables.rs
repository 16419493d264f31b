//! Environment variables that are core's own, and are kept from services or set for them by core alone. Every other name
//! is the user's.

/// The variables of sockets that are passed (`sd_listen_fds(3)`, `sd_notify(3)`), of the command line, and of an
/// instance.
pub const OWN: [&str; 10] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "CORE_ROOT",
    "CORE_PROFILE",
    "CORE_LOG",
    "CORE_INSTANCE",
    "CORE_STOP_REASON",
    "CORE_GLIBC_TUNABLES",
];

/// Whether a variable is core's own.
pub fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}
