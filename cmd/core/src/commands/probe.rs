//! `core probe`: runs one check of a probe once. For programs without a probe of their own, and for people.

use std::collections::BTreeMap;
use std::time::Duration;

use core_host::fill::InstanceFill;
use core_host::probes;
use core_manifest::Template;
use core_manifest::spec::{Check, HttpAnswer};

use crate::cli::{ProbeArgs, ProbeQuestion};
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

pub(crate) async fn run(args: &ProbeArgs) -> Exit {
    let (check, timeout) = match &args.question {
        ProbeQuestion::Http { url, status, contains, header, timeout } => {
            let mut headers = BTreeMap::new();
            for header in header {
                let Some((name, value)) = header.split_once(':') else {
                    return wrong(&format!("`{header}` is not a header"), "write it as 'NAME: VALUE'");
                };
                headers.insert(name.trim().to_owned(), Template::literal(value.trim()));
            }
            let answer = HttpAnswer { headers, status: *status, body_contains: contains.clone() };
            match Check::of_url(&Template::literal(url), answer) {
                Ok(check) => (check, *timeout),
                Err((message, _)) => {
                    return wrong(
                        message,
                        "for example http://127.0.0.1:8080/health, or http+unix:///run/x.sock:/health",
                    );
                }
            }
        }
        ProbeQuestion::Tcp { address, timeout } => {
            if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return wrong(&format!("`{address}` is not an address"), "write HOST:PORT, for example 127.0.0.1:5432");
            }
            (Check::Tcp { address: Template::literal(address) }, *timeout)
        }
    };
    let Some(patience) = Duration::try_from_secs_f64(timeout).ok().filter(|patience| !patience.is_zero()) else {
        return wrong(&format!("{timeout} seconds is not a valid duration"), "for example --timeout 0.5");
    };
    let here = Template::literal(".");
    match probes::ask(&check, &here, &InstanceFill::default(), patience).await {
        Ok(()) => {
            render::line(&styled(GREEN, "ok"));
            Exit::Ok
        }
        Err(reason) => {
            render::error(&reason.replace('\n', " "));
            Exit::Failed
        }
    }
}

fn wrong(message: &str, help: &str) -> Exit {
    render::error(message);
    render::help(help);
    Exit::Usage
}
