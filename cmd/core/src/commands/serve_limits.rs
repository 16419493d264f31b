//! `core serve-limits` (hidden): counts requests that have a rate limit, as the process of a service that the edge asks.

use core_host::limiter::{self, Place};

use crate::cli::ServeLimitsArgs;
use crate::exit::Exit;
use crate::render;

pub(crate) async fn run(args: ServeLimitsArgs) -> Exit {
    let ServeLimitsArgs { file, socket, link, for_user } = args;
    match limiter::serve(&Place { file, socket, link, user: for_user }, render::line).await {
        Ok(()) => Exit::Ok,
        Err(error) => {
            render::error(&error);
            Exit::Failed
        }
    }
}
