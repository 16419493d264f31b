//! The real app behind the real edge, under load, while it is replaced: `cargo bench --bench swap`.
//!
//! The stack of this repository runs with a client beside it that never tries twice (`tests/common/load.rs`), half of it
//! with a new connection for each request, GET and POST in turn. Every change is an edit of a `service.json`. What is
//! fetched and built lands in `.dep/`, as for `./core up`; the app has a few routes more (`app/`). All of it is loopback
//! only.
//!
//! | variable | default | |
//! |---|---|---|
//! | `ROWS=swap,scale` | all | names of rows: swap, deploy, build, trials, saturation, open, rude, scale, edge, routes, kill, kill-edge, pm2, many, hosts, renewal |
//! | `ROUNDS=n` | 5 | rounds of swap, edits of many |
//! | `SWAPS=n` | 20 | swaps in a round, or under saturation |
//! | `SHOW=1` | | tells the course of the windows |
//! | `SECONDS=n` | 60 | how long a round lasts at least; saturation half of it |

#![allow(
    clippy::disallowed_macros,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark speaks to whoever runs it"
)]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/fixture/mod.rs"]
mod fixture;

mod deploys;
mod figures;
mod hosts;
mod many;
mod open;
mod place;
mod pm2;
mod renewal;
mod routes;
mod rows;
mod rude;
mod settings;
mod trials;

use settings::Settings;

fn main() {
    // The services that are many are this program.
    if fixture::ran() {
        return;
    }
    let settings = Settings::read();
    let place = place::Place::new();
    let mut figures = figures::Figures::default();
    for (name, row) in rows::ALL {
        if settings.wants(name) {
            eprintln!("{name}");
            row(&settings, &place, &mut figures);
        }
    }
    figures.print();
}
