//! Named bugs of the engine, to prove that the tests would catch them.
//!
//! Without the feature `mutations`, every check for one is a constant `false` and costs nothing.

/// A bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Start without waiting for dependencies.
    StartBeforeDependency,
    /// Take an answer of an older invocation for one of the current invocation.
    ForgetInvocation,
    /// Ask an instance to stop before its connections have drained.
    StopBeforeDrained,
    /// Start the next invocation although processes of the last one are alive.
    StartOverLeftovers,
    /// Start beside the old instance of a service that is not swapped.
    StartBesideOld,
    /// Never send SIGKILL.
    ForgetKill,
    /// Stop dependencies together with their dependents.
    StopUnordered,
    /// Restart a service whose policy does not allow it.
    RestartAnyway,
    /// Take the old instance out of the edge before the new one is ready.
    SwitchBeforeReady,
    /// Ignore a failed route update instead of trying again.
    ForgetFailedRoute,
    /// Replace services that an edit did not change.
    ReplaceUnchanged,
    /// Start again what is already running when the supervisor comes back.
    ForgetFound,
    /// Go on with a stop although somebody has started the stack since.
    StopAfterLaunch,
    /// Stop restarting after the first crash.
    ForgetBackoff,
    /// Keep a new version that failed before it took over.
    ForgetRollback,
    /// Start what was saved before the manifests have been read.
    StartUnheard,
    /// Stop the serving instances before what their successors need was fetched.
    StopBeforeFetch,
    /// Continue with a new version that the edge does not reach.
    ForgetAstray,
    /// Wait forever for an answer about the pointers.
    ForgetLostRoute,
    /// Never retry after a shim takeover failed once.
    ForgetTakeover,
    /// Wait forever for a shim that is to take over.
    WaitForTakeover,
    /// Take the end of a connection for the death of the shim.
    ReplaceLivingShim,
    /// Never check the shim when it does not do what it was asked to.
    TrustSilence,
    /// Count a probe that could not be run as a failure.
    CountUnasked,
    /// Drop commands that come before the manifests have been read.
    ForgetEarly,
    /// Drop an edit made while the manifests are being read.
    ForgetEdit,
    /// Give up on a binary when its first source fails.
    ForgetSources,
    /// Close the held sockets of the serving instance when its successor has none.
    CloseHeldOfOld,
    /// Send requests to instances that are only kept warm.
    RouteWarm,
    /// Ask a warm instance to stop while requests that name its release still find it.
    StopFormer,
    /// Keep instances warm for ever.
    ForgetWarm,
    /// Restart instances that were only kept warm.
    RestartWarm,
    /// Never tell an instance that it is warm now.
    ForgetRole,
    /// Begin a trial again that was ended while the manifests were being read.
    RecallTrial,
    /// Forget a trial that has ended before the edge has.
    ForgetTrial,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 35] = [
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
        Self::StopAfterLaunch,
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
        Self::RouteWarm,
        Self::StopFormer,
        Self::ForgetWarm,
        Self::RestartWarm,
        Self::ForgetRole,
        Self::RecallTrial,
        Self::ForgetTrial,
    ];
}
