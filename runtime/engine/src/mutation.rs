//! Named faults of the engine, for proving that the tests would catch them.
//!
//! Without the feature `mutations` the question is a constant `false` and costs nothing.

/// A fault that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Start without waiting for dependencies.
    StartBeforeDependency,
    /// Take an answer of an older invocation for one of the present.
    ForgetInvocation,
    /// Ask a served instance to end before its connections were counted down.
    StopBeforeDrained,
    /// Start the next invocation although something of the last one lives.
    StartOverLeftovers,
    /// Start beside the old instance of a service that is not swapped.
    StartBesideOld,
    /// Never send KILL.
    ForgetKill,
    /// Stop dependencies together with their dependents.
    StopUnordered,
    /// Restart a service whose policy says no.
    RestartAnyway,
    /// Take the old instance out of the edge before the new one is ready.
    SwitchBeforeReady,
    /// Drop a route answer that failed instead of trying again.
    ForgetFailedRoute,
    /// Replace services that an edit did not change.
    ReplaceUnchanged,
    /// Start again what runs already when the supervisor comes back.
    ForgetFound,
    /// Stop restarting after the first crash.
    ForgetBackoff,
    /// Keep a new version that failed before it took over.
    ForgetRollback,
    /// Start what was written down before the manifests were read.
    StartUnheard,
    /// End what serves before what its successor needs was fetched.
    StopBeforeFetch,
    /// Go on with a new version that the edge does not reach.
    ForgetAstray,
    /// Wait for ever for an answer about the pointers.
    ForgetLostRoute,
    /// Never try again to put a shim over an instance when that failed once.
    ForgetTakeover,
    /// Wait for ever for a shim that is to take over.
    WaitForTakeover,
    /// Take the end of a line for the death of the shim.
    ReplaceLivingShim,
    /// Never ask whether a shim is there that does not do what it was asked to.
    TrustSilence,
    /// Take a question that could not be put for a bad answer.
    CountUnasked,
    /// Drop commands that come before the manifests were read.
    ForgetEarly,
    /// Drop an edit that is made while the manifests are read.
    ForgetEdit,
    /// Give a binary up when its first source fails.
    ForgetSources,
    /// Close the held sockets of what serves when its successor has none.
    CloseHeldOfOld,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::StartBeforeDependency,
        Self::ForgetInvocation,
        Self::StopBeforeDrained,
        Self::StartOverLeftovers,
        Self::StartBesideOld,
        Self::ForgetKill,
        Self::StopUnordered,
        Self::RestartAnyway,
        Self::SwitchBeforeReady,
        Self::ForgetFailedRoute,
        Self::ReplaceUnchanged,
        Self::ForgetFound,
        Self::ForgetBackoff,
        Self::ForgetRollback,
        Self::StartUnheard,
        Self::StopBeforeFetch,
        Self::ForgetAstray,
        Self::ForgetLostRoute,
        Self::ForgetTakeover,
        Self::WaitForTakeover,
        Self::ReplaceLivingShim,
        Self::TrustSilence,
        Self::CountUnasked,
        Self::ForgetEarly,
        Self::ForgetEdit,
        Self::ForgetSources,
        Self::CloseHeldOfOld,
    ];
}
