//! `core plan`

use core_engine::plan::{Change, Plan, plan};
use core_engine::{Generation, Topology};
use core_host::api::PlanAnswer;
use core_host::client::{self, ClientError};
use core_host::paths::Paths;

use super::tell;
use crate::cli::PlanArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out};
use crate::render::{self, DIM, GREEN, RED, YELLOW};

pub(crate) async fn run(context: &Context, args: &PlanArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let answer = ask(&paths, context.asked_profile().as_deref()).await;
    let plan = match answer {
        Ok(PlanAnswer { plan: Some(plan), .. }) => plan,
        // Read the manifests here, because our own diagnostics show the lines.
        Ok(PlanAnswer { problems, .. }) => match context.load(&paths) {
            Err(exit) => return exit,
            Ok(_) => {
                for problem in &problems {
                    render::note(&render::diagnostics::problem(problem));
                }
                return Exit::Usage;
            }
        },
        // The stack is stopped, so everything would be started.
        Err(ClientError::NoSupervisor) => match context.load(&paths) {
            Ok(stack) => plan(Generation(0), &Topology::default(), &stack.topology),
            Err(exit) => return exit,
        },
        Err(error) => return tell(&error),
    };
    if args.json {
        render::line(&serde_json::to_string_pretty(&plan).unwrap_or_default());
    } else {
        print(&plan, render::line);
    }
    Exit::Ok
}

/// Asks what applying the manifests would do, with another profile if one is named.
pub(super) async fn ask(paths: &Paths, profile: Option<&str>) -> Result<PlanAnswer, ClientError> {
    let query = profile.map_or_else(String::new, |profile| format!("?profile={profile}"));
    client::wait(paths, &format!("/v1/plan{query}")).await
}

/// Prints a plan with `line`, line by line.
pub(super) fn print(plan: &Plan, line: impl Fn(&str)) {
    if plan.is_empty() {
        line("nothing to do: what runs is what the manifests say");
        return;
    }
    let rows: Vec<Vec<Cell>> = plan
        .services
        .iter()
        .map(|(service, planned)| {
            let style = match planned.change {
                Change::Keep => DIM,
                Change::Start | Change::Refresh => GREEN,
                Change::Stop => RED,
                Change::Swap | Change::Restart => YELLOW,
            };
            let word = planned.change.word();
            vec![Cell::new(service.as_str()), Cell::new(word).style(style), Cell::new(planned.reasons.join("; "))]
        })
        .collect();
    for row in lay_out(&["SERVICE", "CHANGE", "WHY"], &rows, render::width()) {
        line(&row);
    }
    line(&render::styled(DIM, &format!("generation {} -> {}", plan.from, plan.to)));
}
