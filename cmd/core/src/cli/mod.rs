//! What may be typed.

mod auth;
mod boot;
mod ci;
mod edge;
mod logs;
mod maintenance;
mod own;
mod release;
mod tls;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;
pub(crate) use auth::{AuthArgs, AuthCommand, UserArgs};
pub(crate) use boot::{BootArgs, BootCommand, BootManager};
pub(crate) use ci::{CiArgs, Forge};
pub(crate) use edge::TopArgs;
pub(crate) use logs::LogsArgs;
pub(crate) use maintenance::{MaintenanceArgs, MaintenanceCommand};
pub(crate) use own::{
    NatsClusterArgs, NatsClusterStep, NatsServerArgs, PrecompressArgs, ServeFilesArgs, ServeLimitsArgs, SuperviseArgs,
};
pub(crate) use release::{
    ActionsKeyArgs, ActionsKeyCommand, AnalyzeArgs, BootstrapArgs, BuildArgs, CacheArgs, CacheCommand, DeployArgs,
    ExecArgs, NamedArgs, PreviewsArgs, PreviewsCommand, PromoteArgs, PurgeArgs, ReleaseArgs, ReleasesArgs,
    ReleasesCommand, RollbackArgs, RotateArgs,
};
pub(crate) use tls::{TlsArgs, TlsCheckArgs, TlsCommand, TrustArgs};

/// Over the options that every command has, so that they stand apart from its own.
const EVERYWHERE: &str = "Options of every command";

/// Runs a stack of ordinary programs on one host.
///
/// Each service is a folder with a service.json below services/. `core up` brings all of them up, in the order of what
/// they depend on, and keeps them running.
#[derive(Debug, Parser)]
#[command(name = "core", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "One service: core <SERVICE> spec | run | command")]
pub(crate) struct Cli {
    /// The stack's root. Default: the nearest folder upwards that holds services/.
    #[arg(long, env = "CORE_ROOT", value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    #[arg(help_heading = EVERYWHERE)]
    pub(crate) root: Option<PathBuf>,
    /// The profile: manifests/<PROFILE>.json. Default: what the running stack uses, else local.
    #[arg(long, env = "CORE_PROFILE", value_name = "PROFILE", global = true)]
    #[arg(add = ArgValueCandidates::new(completion::profiles), help_heading = EVERYWHERE)]
    pub(crate) profile: Option<String>,
    /// Log what core itself does, to standard error; twice for more. `core up` passes it on to the supervisor that it
    /// starts. CORE_LOG=LEVEL[,json] does the same
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = EVERYWHERE)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the manifests of an existing project: what it is, and what it needs to run
    Init(InitArgs),
    /// Bring the stack up, or some of its services with what they depend on
    Up(UpArgs),
    /// Stop the stack, in reverse order
    Down(DownArgs),
    /// Show what is running
    Status(StatusArgs),
    /// Show why a service is not ready, down to the root cause
    Why(WhyArgs),
    /// Show what was changed, by whom, and with what result
    History(HistoryArgs),
    /// Show the output of services, in order of time
    Logs(LogsArgs),
    /// Show how the services answer: requests a second, errors, and how long answers take
    Top(TopArgs),
    /// Start services, with what they depend on
    Start(ServicesArgs),
    /// Stop services; services that depend on them keep running
    Stop(ServicesArgs),
    /// Replace the instances of services, each with its update strategy
    Restart(ServicesArgs),
    /// Set the number of replicas, overriding the manifest
    Scale(ScaleArgs),
    /// Build a release of an app from its folder as it is, and switch to it when it is ready
    ///
    /// The release before it keeps serving until then. A build that fails changes nothing, and a release that does not
    /// become ready is rolled back.
    Deploy(DeployArgs),
    /// Go back to a release that served before, without a build; twice goes back two steps
    ///
    /// A canary is ended first: the live release serves everybody then. The release that serves keeps serving until the other is ready. Databases stay as they are: no migration is undone.
    Rollback(RollbackArgs),
    /// Make a preview or the canary the live release, without a build
    Promote(PromoteArgs),
    /// Show the releases that run beside live ones: previews and canaries
    Previews(PreviewsArgs),
    /// Show the releases of apps: which one serves, who made each, and what a rollback goes to
    Releases(ReleasesArgs),
    /// Show what is known of a built app: its routes, rules, sizes, variables, and what is worth knowing
    Analyze(AnalyzeArgs),
    /// Forget what the replicas of an app keep in their cache
    Cache(CacheArgs),
    /// Change the key that the server actions of an app are encrypted with
    ActionsKey(ActionsKeyArgs),
    /// Say who is let in where a service has `"auth": "basic"`: users with a password
    Auth(AuthArgs),
    /// Build a release of an app into an archive, for another host; nothing is started
    ///
    /// Variables are those of the profile, by default production where there is one. `core deploy FILE` lands it on a host
    /// with the same platform, C library and version of Node.js.
    Build(BuildArgs),
    /// Copy this program to other hosts over ssh, if it can run there
    Bootstrap(BootstrapArgs),
    /// Write a workflow that installs, tests, builds, and deploys over ssh, for GitHub or GitLab
    GenerateCi(CiArgs),
    /// Run a command in the folder of a service's app, with its environment and as its user
    ///
    /// Of an app that runs as a release, that is the folder of the live release. For example: core exec web -- node
    /// migrate.js
    Exec(ExecArgs),
    /// Show or run a service whose name is that of a command: core service build spec
    ///
    /// `core NAME spec`, `run` and `command` do the same for any other name.
    #[command(name = "service")]
    Named(NamedArgs),
    /// Check all manifests and report every error
    Check,
    /// Show what applying the manifests would do
    Plan(PlanArgs),
    /// Run one probe once: exits with 0 when it succeeds, with 1 and the reason when it fails
    Probe(ProbeArgs),
    /// Fetch locked binaries; with --update, lock the ones that are fetched now
    Lock(LockArgs),
    /// Apply the manifests now, and retry what failed before
    Apply(WaitArgs),
    /// Show the services, what they depend on, and the routes of the edge
    Graph(GraphArgs),
    /// Start the stack with the host: a unit of systemd, a script of OpenRC, or a line of cron
    Boot(BootArgs),
    /// Show what this host supports, and what is weaker without it
    Doctor(DoctorArgs),
    /// Have the edge answer in the place of services, with a page that says so, or no longer
    Maintenance(MaintenanceArgs),
    /// Check whether the names of the stack lead to this host, and which certificates they have
    Tls(TlsArgs),
    /// Have this host trust the root certificate of the stack's own CA (`"tls": "internal"`), or no longer
    ///
    /// It goes into the store of the system, as root, and into those of this user's browsers, with certutil.
    Trust(TrustArgs),
    /// Print a script that completes commands and service names in a shell
    ///
    /// Add one of these lines to the file that the shell reads when it starts:
    ///
    /// bash: source <(core completions bash)
    ///
    /// zsh: source <(core completions zsh)
    ///
    /// fish: core completions fish | source
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages into a folder
    Man(ManArgs),
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    #[command(hide = true)]
    Schema(SchemaArgs),
    #[command(hide = true)]
    NatsCluster(NatsClusterArgs),
    #[command(hide = true)]
    Precompress(PrecompressArgs),
    #[command(hide = true)]
    ServeFiles(ServeFilesArgs),
    #[command(hide = true)]
    ServeLimits(ServeLimitsArgs),
    /// One service: `core web spec`
    #[command(external_subcommand)]
    Service(Vec<OsString>),
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The project's folder. Default: this one.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
    /// Ask nothing.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Services to bring up, with what they depend on. Default: all.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) services: Vec<String>,
    /// Return when everything is ready; the stack keeps running.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Seconds to wait until everything is ready, not counting downloads and builds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    pub(crate) timeout: f64,
    /// Do not watch the manifests for edits; `core apply` applies them.
    #[arg(long)]
    pub(crate) no_watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Kill the services instead of asking them to stop.
    #[arg(long)]
    pub(crate) kill: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 1 unless every enabled service is ready.
    #[arg(long)]
    pub(crate) check: bool,
    /// Keep running and show every change; stop with Ctrl-C.
    #[arg(short, long, conflicts_with = "check")]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) service: String,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Services. Default: all.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    pub(crate) services: Vec<String>,
    /// How many of the last entries to show.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) entries: usize,
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    /// Services.
    #[arg(required = true, add = ArgValueCandidates::new(completion::services))]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// How long a command waits for what it has begun.
#[derive(Clone, Debug, Args)]
pub(crate) struct WaitArgs {
    /// Seconds to wait at most, not counting downloads and builds; the operation itself goes on. Default: 120; for
    /// `stop`, as long as the services may take.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// The service and the number of replicas: web=3.
    #[arg(value_name = "SERVICE=REPLICAS", add = ArgValueCandidates::new(completion::scales))]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Binaries. Default: all that are fetched.
    pub(crate) names: Vec<String>,
    /// Fetch them again, and replace what was locked before.
    #[arg(long)]
    pub(crate) update: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// A tree for people, or the input of Mermaid (in Markdown) or Graphviz.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphFormat {
    Text,
    Mermaid,
    Dot,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write core.1 and a page for each command into. Default: the main page, on standard output.
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    pub(crate) question: ProbeQuestion,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProbeQuestion {
    /// Send an HTTP GET request; redirects are not followed
    Http {
        /// http://HOST:PORT/PATH, or http+unix://SOCKET:/PATH.
        url: String,
        /// The expected status.
        #[arg(long, value_name = "N", default_value_t = 200)]
        status: u16,
        /// Text that the body must contain.
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
        /// A header to send; may be repeated.
        #[arg(long, value_name = "NAME: VALUE")]
        header: Vec<String>,
        /// Seconds to wait for the answer.
        #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
        timeout: f64,
    },
    /// Open a TCP connection
    Tcp {
        /// HOST:PORT
        address: String,
        /// Seconds to wait for the connection.
        #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
        timeout: f64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// `service`, `stack`, `api` or `fields`.
    #[arg(default_value = "service")]
    pub(crate) which: String,
}
