//! What a script says about releases that run beside live ones.

use core_engine::command::{Command, Deploying};
use core_engine::event::Event;
use core_engine::maintenance::Maintenance;
use core_engine::trial::TrialWish;
use core_manifest::ServiceName;

/// `preview NAME`, `canary PERCENT`, `promote [NAME]`, `end SERVICE`, `maintain [SERVICE]` or `serve [SERVICE]`.
pub(super) fn command(verb: &str, rest: &[&str]) -> Result<Option<Command>, String> {
    let first = rest.first().copied().unwrap_or_default();
    let deploy = |wish| {
        let how = Deploying { switch: false, trial: Some(wish), ..Deploying::default() };
        Command::Deploy { service: None, how }
    };
    Ok(Some(match verb {
        "preview" => deploy(TrialWish::Preview { name: first.into(), is_public: false, at: 0 }),
        "canary" => deploy(TrialWish::Canary { percent: first.parse().map_err(|_| "no share")? }),
        "promote" => Command::Promote { service: None, name: rest.first().map(ToString::to_string), as_built: false },
        "maintain" | "serve" => Command::Maintain {
            services: rest.iter().map(|name| ServiceName::made(name)).collect::<Result<_, _>>()?,
            how: (verb == "maintain").then(Maintenance::default),
        },
        "end" => Command::EndTrial { service: ServiceName::made(first)? },
        _ => return Ok(None),
    }))
}

/// `answered INSTANCE ANSWERS ERRORS` or `visited SERVICE`.
pub(super) fn event(verb: &str, rest: &[&str]) -> Result<Option<Event>, String> {
    let number = |at: usize| rest.get(at).and_then(|word| word.parse().ok()).ok_or("no number");
    Ok(Some(match verb {
        "answered" => Event::Answered { instance: rest[0].parse()?, answers: number(1)?, errors: number(2)? },
        "visited" => Event::Visited { service: ServiceName::made(rest[0])? },
        _ => return Ok(None),
    }))
}
