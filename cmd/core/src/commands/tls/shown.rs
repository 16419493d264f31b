//! What `core tls check` has seen, for people.

use core_host::reach::{Address, Answering, Fault, Records, Report};

use crate::render::table::{Cell, lay_out_within};
use crate::render::{DIM, GREEN, RED, styled, words};

/// How far what belongs to a row stands in.
const INDENT: usize = 4;

/// A line for each family of addresses of a name, and below it what is wrong and what to do.
pub(super) fn lines(report: &Report, width: usize) -> Vec<String> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for name in &report.names {
        for records in &name.records {
            rows.push(row(&name.name, Some(records), records.faults.is_empty()));
            faults.push(&records.faults[..]);
        }
        if name.records.is_empty() {
            rows.push(row(&name.name, None, false));
            faults.push(&[]);
        }
        // Those of the name itself stand below its last line.
        if !name.faults.is_empty() && !name.records.is_empty() {
            rows.push(row(&name.name, None, false));
            faults.push(&name.faults[..]);
        } else if let Some(last) = faults.last_mut().filter(|last| last.is_empty()) {
            *last = &name.faults;
        }
    }
    let mut groups = lay_out_within(&["", "NAME", "RECORD", "ADDRESS", "FOUND"], &rows, width, &[]).into_iter();
    let mut all = groups.next().unwrap_or_default();
    let mut told: Vec<&str> = Vec::new();
    for (group, faults) in groups.zip(faults) {
        all.extend(group);
        for fault in faults {
            all.extend(said(fault, width, &mut told));
        }
    }
    for fault in &report.faults {
        all.push(format!("{} {}", styled(RED, "✗"), fault.message));
        all.extend(below(&fault.help, width).into_iter().map(|line| styled(DIM, &line)));
    }
    all.push(sum(report));
    all
}

fn row(name: &str, records: Option<&Records>, is_right: bool) -> Vec<Cell> {
    let mark = if is_right { Cell::new("✓").style(GREEN) } else { Cell::new("✗").style(RED) };
    let family = records.map_or("", |records| records.family.word());
    let addresses = |records: &Records| {
        let all: Vec<String> = records.addresses.iter().map(|one| one.address.to_string()).collect();
        all.join(" ")
    };
    let found = records.map(found).unwrap_or_default();
    vec![
        mark,
        Cell::new(name),
        Cell::new(family),
        Cell::new(records.map(addresses).unwrap_or_default()),
        Cell::new(found),
    ]
}

fn found(records: &Records) -> String {
    let leads = match records.leads_here {
        Some(true) => "leads here",
        Some(false) => "does not lead here",
        None => "not known where it leads",
    };
    let certificate = records.addresses.iter().find_map(Address::certificate);
    let certificate = certificate.map(|one| format!("; certificate of {} until {}", one.issuer, day(&one.not_after)));
    format!("{leads}{}", certificate.unwrap_or_default())
}

fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

/// What is wrong, and what to do unless that was said before.
fn said<'a>(fault: &'a Fault, width: usize, told: &mut Vec<&'a str>) -> Vec<String> {
    let mut all = below(&fault.message, width);
    if !told.contains(&fault.help.as_str()) {
        told.push(&fault.help);
        all.extend(below(&fault.help, width).into_iter().map(|line| styled(DIM, &line)));
    }
    all
}

fn below(text: &str, width: usize) -> Vec<String> {
    let parts = words::wrap(text, width.saturating_sub(INDENT));
    parts.into_iter().map(|part| format!("{}{part}", " ".repeat(INDENT))).collect()
}

fn sum(report: &Report) -> String {
    let faulty = report.names.iter().filter(|name| name.is_faulty()).count();
    let names = words::count(report.names.len(), "name");
    let how = match report.answering {
        Answering::Check => ", while the edge does not run",
        Answering::Edge | Answering::Nobody(_) => "",
    };
    if report.is_ok() {
        return format!("{} {names} checked{how}", styled(GREEN, "ok"));
    }
    format!("{} for {faulty} of {names}{how}", styled(RED, "something is wrong"))
}

#[cfg(test)]
mod tests {
    use core_host::reach::{Family, Name};

    use super::*;

    #[test]
    fn each_family_has_a_line_and_a_help_is_said_once() {
        let fault = |message: &str| Fault { code: "x", message: message.into(), help: "do this".into() };
        let records = |family, faults| Records { family, addresses: Vec::new(), leads_here: Some(true), faults };
        let of = |name: &str, records, faults| Name { name: name.into(), records, caa: None, faults };
        let names = vec![
            of("a.test", vec![records(Family::A, vec![]), records(Family::Aaaa, vec![fault("one is wrong")])], vec![]),
            of("b.test", vec![records(Family::A, vec![])], vec![fault("the name is wrong")]),
            of("c.test", vec![], vec![fault("it is missing")]),
        ];
        let report = Report { answering: Answering::Edge, names, faults: vec![] };
        let all = lines(&report, 80);
        let plain: Vec<String> = all.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(
            plain,
            [
                "   NAME    RECORD  FOUND",
                "✓  a.test  A       leads here",
                "✗  a.test  AAAA    leads here",
                "    one is wrong",
                "    do this",
                "✓  b.test  A       leads here",
                "✗  b.test",
                "    the name is wrong",
                "✗  c.test",
                "    it is missing",
                "something is wrong for 3 of 3 names",
            ]
        );
    }
}
