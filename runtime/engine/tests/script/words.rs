//! An action in the words of a script.

use std::fmt::Write as _;

use core_engine::action::{Action, Replaces, TrialRoute};
use core_engine::event::{ProbeKind, Purpose};
use core_engine::record::{Outcome, Record};
use core_engine::trial::Trial;

/// How requests find a trial.
fn trial(route: &TrialRoute) -> String {
    let what = match route.trial {
        _ if !route.is_open => return ", for nobody".to_owned(),
        Trial::Canary { percent } => format!("{percent} %"),
        Trial::Preview { set, .. } => format!("set {set}"),
    };
    let asleep = if route.is_asleep { ", asleep" } else { "" };
    format!(", {what} for {}{asleep}", route.release)
}

pub(super) fn words(action: &Action) -> String {
    match action {
        Action::Save => "save".into(),
        Action::Read { purpose, releases, trials, .. } => match purpose {
            Purpose::Apply { operation, by } => {
                let releases: Vec<String> = releases.iter().map(|(name, id)| format!(", {name} {id}")).collect();
                let trials: Vec<String> = trials.keys().map(|name| format!(", with {name}")).collect();
                format!("read the manifests: operation {operation}, by {by:?}{}{}", releases.concat(), trials.concat())
            }
            Purpose::Plan { .. } => "read the manifests: for a plan".into(),
            Purpose::OtherSource { folder, .. } => format!("read the manifests: another source for {folder}"),
        },
        Action::Planned { result: Ok(plan), .. } => format!("the plan: {} -> {}", plan.from, plan.to),
        Action::Planned { result: Err(_), .. } => "no plan: the manifests are broken".into(),
        Action::Accepted { operation } => format!("accept {operation}"),
        Action::Refused { operation, problems } => {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("refuse {operation}: {}", all.join("; "))
        }
        Action::Hold { ports } => {
            let all: Vec<String> = ports.iter().map(|(service, port)| format!("{service}.{port}")).collect();
            format!("hold {}", if all.is_empty() { "nothing".into() } else { all.join(", ") })
        }
        Action::KeepLogs { limits } => {
            let all: Vec<String> = limits.keys().map(ToString::to_string).collect();
            format!("keep the logs of {}", all.join(", "))
        }
        Action::CutLog { service, segment_bytes } => format!("cut the log of {service} at {segment_bytes} bytes"),
        Action::Prepare { folder, .. } => format!("prepare {folder}"),
        Action::MakeRelease { operation, service, .. } => format!("make a release of {service}: operation {operation}"),
        Action::DropRelease { operation, service } => format!("drop the release of {service}: operation {operation}"),
        Action::Hook { service, hook, release, message } => {
            let about = [release.as_deref(), message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            format!("hook {} of {service}: {about}", hook.word())
        }
        Action::MarkLive { service, release } => format!("live: {service} {release}"),
        Action::Start(order) => {
            let ports: Vec<String> = order.ports.values().map(u16::to_string).collect();
            format!("start {} {}", order.invocation, ports.join(" ")).trim_end().to_owned()
        }
        Action::Signal { invocation, signal, scope } => {
            format!("signal {signal} to the {} of {invocation}", format!("{scope:?}").to_lowercase())
        }
        Action::ShutdownCommand { invocation, .. } => format!("shutdown command of {invocation}"),
        Action::Kill { invocation } => format!("kill {invocation}"),
        Action::Release { instance } => format!("release {instance}"),
        Action::Adopt { invocation, line, replaces: Replaces::Dead, .. } => {
            format!("adopt {invocation}, line {line}")
        }
        Action::Adopt { invocation, line, replaces: Replaces::Silent, .. } => {
            format!("kill the shim of {invocation}, adopt, line {line}")
        }
        Action::Connect { instance, line } => format!("connect to the shim of {instance}, line {line}"),
        Action::Ask { instance, within } => format!("is the shim of {instance} there, within {within:?}?"),
        Action::Probe { invocation, probe: ProbeKind::Readiness, .. } => format!("is {invocation} ready?"),
        Action::Probe { invocation, probe: ProbeKind::Liveness, .. } => format!("is {invocation} alive?"),
        Action::Count { instance, .. } => format!("count connections of {instance}"),
        Action::Route(table) => {
            let runs = table.targets.chunk_by(|one, other| one == other).map(|run| {
                let times = if run.len() > 1 { format!(" x{}", run.len()) } else { String::new() };
                format!("{}:{}{times}", run[0].instance, run[0].port)
            });
            let targets: Vec<String> = runs.collect();
            let targets = if targets.is_empty() { "nobody".to_owned() } else { targets.join(", ") };
            let many = if table.pointers == 16 { String::new() } else { format!(", {} pointers", table.pointers) };
            let former = table.former.as_ref().map(|former| {
                let ids: Vec<String> = former.targets.iter().map(|target| target.instance.to_string()).collect();
                format!(", {} to {}", former.release, ids.join(", "))
            });
            let former = former.unwrap_or_default() + &table.trial.as_ref().map(trial).unwrap_or_default();
            let files = table.release.as_ref().map_or_else(String::new, |id| format!(", files of {id}"));
            let closed = if table.maintenance.is_some() { ", in maintenance" } else { "" };
            format!("route {} (version {}{many}) to {targets}{former}{files}{closed}", table.service, table.version)
        }
        Action::Direct { instance } => format!("new connections go to {instance}"),
        Action::Yield { pid, yields } => {
            format!("process {pid} {}", if *yields { "yields" } else { "no longer yields" })
        }
        Action::TellRole { instance, pid: _, role } => format!("{instance} is {}", role.word()),
        Action::Verify(asked) => {
            let targets: Vec<String> = asked.targets.iter().map(|(_, target)| target.instance.to_string()).collect();
            format!("does {} reach {}?", asked.edge, targets.join(", "))
        }
        Action::Record(Record::Begun(begun)) => {
            let mut line = format!("record {} begun: {:?} by {:?}", begun.operation, begun.command, begun.by);
            if begun.to != begun.from {
                let _ = write!(line, ", {} -> {}", begun.from, begun.to);
            }
            for (name, planned) in &begun.changes {
                let _ = write!(line, "; {name}: {:?} {}", planned.change, planned.reasons.join(", "));
            }
            line
        }
        Action::Record(Record::Ended { operation, outcome }) => match outcome {
            Outcome::Done => format!("record {operation} done"),
            Outcome::Failed { message, culprit } => {
                let culprit = culprit.as_ref().map_or_else(String::new, |culprit| format!(" ({culprit})"));
                format!("record {operation} failed: {message}{culprit}")
            }
            Outcome::Replaced { by } => format!("record {operation} replaced by {by}"),
        },
        Action::Exit { code } => format!("exit {code}"),
    }
}
