//! `core up`

use std::process::Child;
use std::time::{Duration, Instant};

use core_engine::engine::OperationState;
use core_host::api::{Alive, PlanAnswer, UpRequest};
use core_host::client::{self, ClientError};
use core_host::journal::Journal;
use core_host::last_resort;
use core_host::launch::{self, Launch};
use core_host::logs::Selection;
use core_host::paths::Paths;
use core_manifest::ServiceName;

use super::logs::{Printer, follow};
use super::plan;
use super::sight::{self, Sight};
use super::status::other_program;
use super::tls;
use super::{ask_progress, ask_status, begin, down, refuse_moved, tell, tell_failure, tell_no_signals, tell_unknown};
use crate::cli::UpArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::reaper::Reaper;
use crate::render::{self, BOLD, DIM, GREEN, styled};

/// How long a supervisor usually takes to open its socket.
const SOON: Duration = Duration::from_millis(20);
/// How long a supervisor may take to answer.
const START_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn run(context: &Context, args: &UpArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let began = Instant::now();
    let (mut interrupt, (paths, keeper)) = match (Interrupt::new(), start(context, paths, args).await) {
        (Ok(interrupt), Ok(started)) => (interrupt, started),
        (Err(error), _) => return tell_no_signals(&error),
        (_, Err(exit)) => return exit,
    };
    tokio::select! {
        exit = bring_up(context, &paths, args, began) => {
            if args.detach || exit != Exit::Ok {
                return exit;
            }
        }
        _ = interrupt.next() => {
            if args.detach {
                render::note("\nstopped waiting; the stack keeps running: `core status` shows it, `core down` stops it");
                return Exit::Failed;
            }
            return leave(&paths, keeper.is_some(), &mut interrupt).await;
        }
    }
    // In the foreground: print the logs until the user interrupts.
    let mut printer = Printer::new(false, false);
    let selection = Selection { services: args.services.clone(), last: Some(10), since_ns: None };
    let reaper = Reaper::new(keeper.as_ref().map(Child::id));
    let mut is_over = || reaper.reap().is_some();
    tokio::select! {
        result = follow(&paths, selection, &mut printer, &mut is_over) => {
            if let Err(error) = result {
                return tell(&error);
            }
            // The terminal was closed, or the other end of the pipe.
            if printer.is_closed() {
                return leave(&paths, keeper.is_some(), &mut interrupt).await;
            }
        }
        () = reaper.go_on() => {}
        _ = interrupt.next() => return leave(&paths, keeper.is_some(), &mut interrupt).await,
    }
    // The stack has stopped by itself; its keeper exits with the code of the stack.
    match reaper.code().await.map(u8::try_from) {
        Some(Ok(0)) | None => Exit::Ok,
        Some(code) => Exit::Code(code.unwrap_or(1)),
    }
}

/// Makes sure that a supervisor answers. Returns the folders of the stack, and the keeper if it was started here.
async fn start(context: &Context, paths: Paths, args: &UpArgs) -> Result<(Paths, Option<Child>), Exit> {
    refuse_moved(&paths)?;
    let running = match ask_status(&paths).await {
        Ok(status) => Some(status),
        Err(error @ ClientError::Silent) => return Err(tell(&error)),
        Err(_) => None,
    };
    let other = running.as_ref().and_then(other_program);
    let before = running.as_ref().map(|status| status.profile.clone());
    let switched = before.zip(context.asked_profile()).filter(|(before, asked)| before != asked);
    if running.is_some() && other.is_none() && switched.is_none() {
        if args.no_watch {
            render::note("the stack runs already: `--no-watch` only takes effect when it starts");
        }
        return Ok((paths, None));
    }
    // Errors are reported here, with the lines they are about, before anything is started.
    let stack = context.load_to_run(&paths)?;
    if let Some(unknown) = args.services.iter().find(|name| !stack.topology.services.contains_key(name.as_str())) {
        return Err(tell_unknown(unknown, stack.topology.services.keys().map(ServiceName::as_str)));
    }
    let failed = |error: std::io::Error| {
        render::error(&format!("the stack cannot be started: {error}"));
        Exit::Failed
    };
    let opened = paths.opened().map_err(failed)?;
    if let Err(message) = Journal::room_for_command(&opened) {
        render::error(&message);
        return Err(Exit::Failed);
    }
    let launch_anew = other.is_some() || switched.is_some();
    let mut launch = Launch {
        profile: Some(stack.profile),
        services: args.services.clone(),
        no_watch: args.no_watch,
        number: launch::number(),
    };
    if let Some((before, asked)) = &switched {
        render::note(&format!("the stack runs with the profile {before}; with {asked}:"));
        if let Ok(PlanAnswer { plan: Some(plan), .. }) = plan::ask(&opened, Some(asked)).await {
            plan::print(&plan, render::note);
        }
    }
    if let Some(other) = other {
        render::note(&format!("{other}; it is replaced, and the services go on"));
    }
    if launch_anew {
        // The `--no-watch` that the stack was started with still holds.
        let no_watch = launch.no_watch || launch::of_keeper(&opened).no_watch;
        let profile = context.asked_profile().or_else(|| running.map(|status| status.profile));
        launch = Launch { profile, no_watch, ..launch };
        core_host::keeper::end(&opened.run);
        let until = Instant::now() + START_PATIENCE;
        while last_resort::keeper_lives(&opened) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let mut keeper = None;
    if !last_resort::keeper_lives(&opened) {
        keeper = Some(launch::start_keeper(&opened, &launch).map_err(failed)?);
    }
    let began = Instant::now();
    let until = began + START_PATIENCE;
    loop {
        // The socket appears within a few milliseconds, and the runtime's timers are no finer than one.
        while began.elapsed() < SOON && !opened.socket().exists() {
            std::thread::sleep(SOON / 100);
        }
        match client::get::<Alive>(&opened, "/v1/alive").await {
            Ok(_) => return Ok((opened, keeper)),
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => {
                render::error(&format!("{error}; see {}", opened.own_log().display()));
                return Err(Exit::Failed);
            }
        }
    }
}

/// Asks for the services, and shows progress until all are ready.
async fn bring_up(context: &Context, paths: &Paths, args: &UpArgs, began: Instant) -> Exit {
    let request = UpRequest { services: args.services.clone(), timeout_seconds: Some(args.timeout) };
    let operation = match begin(paths, "up", &request).await {
        Ok(accepted) => accepted.operation,
        Err(error) => return tell(&error),
    };
    // The supervisor enforces the timeout: it knows the downloads and builds that do not count.
    let silence = Duration::try_from_secs_f64(args.timeout).unwrap_or(Duration::MAX);
    let sight = Sight { quiet: Duration::ZERO, most: Duration::MAX, silence };
    let outcome = match sight::wait(paths, operation, &sight).await {
        Ok(ended) => ended.map_or(Ok(()), |ended| match ended.status {
            OperationState::Failed { message, .. } => Err((message, ended.last_lines)),
            _ => Ok(()),
        }),
        Err(error) => return tell(&error),
    };
    match outcome {
        Ok(()) => {
            let url = ask_progress(paths).await.ok().and_then(|status| status.url);
            let has_certificates = url.as_ref().is_some_and(|url| url.starts_with("https:"));
            let url = url.map_or_else(String::new, |url| format!(": {}", styled(BOLD, &url)));
            let took = styled(DIM, &format!("({:.1} s)", began.elapsed().as_secs_f64()));
            render::note(&format!("{}{url} {took}", styled(GREEN, "ready")));
            // The stack is up; a name that leads elsewhere is said before a CA is asked in vain for long.
            if has_certificates && let Ok(status) = ask_status(paths).await {
                tls::warn(context, paths, &status).await;
            }
            Exit::Ok
        }
        Err((message, last_lines)) => {
            tell_failure(&message, &last_lines);
            render::help("the stack keeps running: see `core status` and `core logs`; `core down` stops it");
            Exit::Failed
        }
    }
}

/// The user has interrupted. A stack that this command started is stopped; one that ran before keeps running.
async fn leave(paths: &Paths, ours: bool, interrupt: &mut Interrupt) -> Exit {
    if !ours {
        render::note("the stack keeps running; `core down` stops it");
        return Exit::Ok;
    }
    render::note("\nstopping the stack; press Ctrl-C again to kill it");
    tokio::select! {
        exit = down::end(paths, false) => exit,
        _ = interrupt.next() => down::end(paths, true).await,
    }
}
