//! The command line of `core`: parses, asks, prints. It decides nothing.

mod cli;
mod commands;
mod completion;
mod context;
mod exit;
mod interrupt;
mod log;
mod reaper;
mod render;

use clap::Parser;

use cli::{Cli, Command};
use context::Context;
use exit::Exit;

fn main() -> std::process::ExitCode {
    if std::env::args_os().next().is_some_and(|name| name == core_shim::NAME) {
        return u8::try_from(core_shim::main()).unwrap_or(1).into();
    }
    core_shim::inherited::narrow();
    if let Some(exit) = completion::answer() {
        return exit.into();
    }
    let cli = Cli::parse();
    if matches!(cli.command, Command::Supervise(_)) {
        // SAFETY: no other thread was started yet.
        unsafe { core_host::launch::restore_environment() };
    }
    // SAFETY: no other thread was started yet.
    if let Err(exit) = unsafe { log::start(&cli) } {
        return exit.into();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            render::error(&format!("the runtime cannot be started: {error}"));
            return Exit::Failed.into();
        }
    };
    let local = tokio::task::LocalSet::new();
    let exit = local.block_on(&runtime, run(cli));
    // A thread that blocks in the background (a terminal's reader, a download) must not delay the exit.
    runtime.shutdown_background();
    exit.into()
}

async fn run(cli: Cli) -> Exit {
    let context = Context::new(&cli);
    match cli.command {
        Command::Init(args) => commands::init::run(&context, &args),
        Command::Up(args) => commands::up::run(&context, &args).await,
        Command::Down(args) => commands::down::run(&context, &args).await,
        Command::Status(args) if args.watch => commands::watch::run(&context, &args).await,
        Command::Status(args) => commands::status::run(&context, &args).await,
        Command::Why(args) => commands::why::run(&context, &args).await,
        Command::History(args) => commands::history::run(&context, &args).await,
        Command::Logs(args) => commands::logs::run(&context, &args).await,
        Command::Top(args) => commands::top::run(&context, &args).await,
        Command::Start(args) => commands::control::run(&context, "start", &args).await,
        Command::Stop(args) => commands::control::run(&context, "stop", &args).await,
        Command::Restart(args) => commands::control::run(&context, "restart", &args).await,
        Command::Scale(args) => commands::control::scale(&context, &args).await,
        Command::Deploy(args) => commands::deploy::run(&context, &args).await,
        Command::Rollback(args) => commands::rollback::run(&context, &args).await,
        Command::Promote(args) => commands::promote::run(&context, &args).await,
        Command::Previews(args) => commands::previews::run(&context, &args).await,
        Command::Cache(args) => commands::cache::run(&context, &args).await,
        Command::ActionsKey(args) => commands::actions_key::run(&context, &args).await,
        Command::Auth(args) => commands::auth::run(&context, &args).await,
        Command::Analyze(args) => commands::analyze::run(&context, &args),
        Command::Releases(args) => commands::releases::run(&context, &args),
        Command::Boot(args) => commands::boot::run(&context, &args),
        Command::Bootstrap(args) => commands::bootstrap::run(&args).await,
        Command::Build(args) => commands::build::run(&context, &args).await,
        Command::GenerateCi(args) => commands::ci::run(&context, &args),
        Command::Exec(args) => commands::exec::run(&context, &args).await,
        Command::Named(args) => {
            let words = [&[args.name][..], &args.words].concat();
            commands::service::run(&context, &words).await
        }
        Command::Check => commands::check::run(&context),
        Command::Plan(args) => commands::plan::run(&context, &args).await,
        Command::Probe(args) => commands::probe::run(&args).await,
        Command::Lock(args) => commands::lock::run(&context, &args).await,
        Command::Apply(args) => commands::control::apply(&context, &args).await,
        Command::Graph(args) => commands::graph::run(&context, &args).await,
        Command::Doctor(args) => commands::doctor::run(&context, &args),
        Command::Maintenance(args) => commands::maintenance::run(&context, &args).await,
        Command::Tls(args) => commands::tls::run(&context, &args).await,
        Command::Trust(args) => commands::trust::run(&context, &args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
        Command::Supervise(args) => commands::supervise::run(&context, args).await,
        Command::NatsCluster(args) => commands::nats_cluster::run(args).await,
        Command::ServeFiles(args) => commands::serve_files::run(&args).await,
        Command::ServeLimits(args) => commands::serve_limits::run(args).await,
        Command::Precompress(args) => commands::precompress::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Service(words) => commands::service::run(&context, &words).await,
    }
}
