//! Environment variables that belong to core: they are kept from services, or only core sets them. All other names
//! belong to the user.

/// The variables of passed sockets (`sd_listen_fds(3)`, `sd_notify(3)`), of the command line, and of an
/// instance.
pub const OWN: [&str; 12] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "CORE_ROOT",
    "CORE_PROFILE",
    "CORE_LOG",
    "CORE_INSTANCE",
    "CORE_STOP_REASON",
    "CORE_RELEASE_ROLE",
    "CORE_RELEASE_ROLE_FILE",
    "CORE_GLIBC_TUNABLES",
];

/// Whether a variable belongs to core.
pub fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}
