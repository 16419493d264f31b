//! Ten services in a row, each ready 50 ms after its start, each waiting for the one before.
//!
//! No tool can be faster than 500 ms. What it adds for each link is the lag: from one being ready to the first line of
//! the next, so the knowing and one start. Once by the word of the service (a line of its output; for s6 a newline on a
//! descriptor), which costs no question; once by asking over HTTP, which costs the pause between two questions.

use super::millis;
use crate::place::{Place, Said};
use crate::run::Run;
use crate::service::{Ready, Service};
use crate::settings::Settings;
use crate::sheet::{Miss, Sheet};
use crate::tools::{Ability, Tool};

const LINKS: usize = 10;
const MILLIS: u64 = 50;

/// Both chains.
pub(crate) fn take(settings: &Settings, tool: &'static dyn Tool, sheet: &mut Sheet) {
    for (words, ability) in [("its word", Ability::WaitForWord), ("asking", Ability::WaitForAnswer)] {
        let whole = format!("chain of {LINKS} by {words}, ms");
        let lag = format!("chain by {words}: ready to next begun, ms");
        if !tool.abilities().contains(&ability) {
            sheet.note(&whole, tool.name(), Err(Miss::NotApplicable));
            sheet.note(&lag, tool.name(), Err(Miss::NotApplicable));
            continue;
        }
        match chain(settings, tool, ability) {
            Ok((took, lags)) => {
                sheet.note(&whole, tool.name(), Ok(took));
                sheet.note(&lag, tool.name(), Ok(lags));
            }
            Err(miss) => {
                sheet.note(&whole, tool.name(), Err(miss));
                sheet.note(&lag, tool.name(), Err(miss));
            }
        }
    }
}

/// How long until the last one was ready; the median of the lags.
fn chain(settings: &Settings, tool: &'static dyn Tool, ability: Ability) -> Result<(f64, f64), Miss> {
    let place = Place::new(settings.patience).map_err(|_| Miss::Failed)?;
    let services = services(&place, ability).map_err(|_| Miss::Failed)?;
    let run = Run::begin(tool, &place, &services)?;
    place.wait_for("ready", LINKS)?;
    let heard = place.heard();
    let find = |what: &str, service: &Service| -> Option<Said> {
        heard.iter().find(|said| said.what == what && said.name == service.name).cloned()
    };
    let mut lags = Vec::new();
    for pair in services.windows(2) {
        let (Some(ready), Some(next)) = (find("ready", &pair[0]), find("start", &pair[1])) else {
            return Err(Miss::Failed);
        };
        if next.at < ready.at {
            eprintln!("    {}: {} began before {} was ready", tool.name(), pair[1].name, pair[0].name);
            return Err(Miss::Failed);
        }
        lags.push(millis(next.at.duration_since(ready.at)));
    }
    lags.sort_by(f64::total_cmp);
    let last = find("ready", &services[LINKS - 1]).ok_or(Miss::Failed)?;
    let took = millis(last.at.duration_since(run.began));
    let _ = run.stop();
    Ok((took, lags[lags.len() / 2]))
}

fn services(place: &Place, ability: Ability) -> std::io::Result<Vec<Service>> {
    // All at once, so that no number is given twice; whoever takes one meanwhile fails the row, not the run.
    let ports: Vec<_> =
        (0..LINKS).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0))).collect::<std::io::Result<_>>()?;
    let mut services: Vec<Service> = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let name = format!("link{number}x");
        let port = port.local_addr()?.port();
        let mut service = if ability == Ability::WaitForWord {
            Service::acting(place, &name, &format!("ready {MILLIS}"))?
        } else {
            Service::acting(place, &name, &format!("answer {MILLIS} {port}"))?
        };
        service.ready = if ability == Ability::WaitForWord { Ready::Says } else { Ready::Answers(port, 1) };
        service.after = services.last().map(|before| before.name.clone());
        services.push(service);
    }
    Ok(services)
}
