//! Turns messages on a connection into events; and the introduction of a shim that was found.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use core_engine::InstanceId;
use core_engine::event::{Event, Life, Unreached};
use core_shim::wire::{ECHO, Report, Request};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::events::{event_of, life_of};
use super::held::Held;
use super::leaders::Leaders;
use super::line::{Heard, Line};
use super::stray;

/// How long a released shim may take to exit.
const GOING: Duration = Duration::from_secs(2);

/// The state of an instance, as reported by its shim to a new supervisor.
pub(super) struct Introduction {
    /// Number of the last invocation.
    pub(super) number: u32,
    /// Note of the supervisor that started it, see [`super::Note`].
    pub(super) note: String,
    /// Whether it lives, and how it ended if not.
    pub(super) life: Life,
}

/// What to do when a connection ends.
#[derive(Clone, Debug, Default)]
pub(super) enum Released {
    /// Not released: the end means that the shim is gone.
    #[default]
    No,
    /// The shim was told to exit: the end means that it has.
    Told {
        /// The run folder to remove after that, if any.
        leaves: Option<PathBuf>,
    },
}

/// Listens on a connection, for the engine.
pub(super) struct Listener {
    pub(super) instance: InstanceId,
    pub(super) line: Rc<Line>,
    pub(super) released: Rc<RefCell<Released>>,
    pub(super) held: Rc<RefCell<Held>>,
    pub(super) leaders: Rc<RefCell<Leaders>>,
    pub(super) inbox: UnboundedSender<Event>,
    /// The run folder of the stack.
    pub(super) run: PathBuf,
}

impl Listener {
    /// Passes reports to the engine, until the connection ends.
    pub(super) async fn listen(self) {
        self.relay(Vec::new()).await;
    }

    /// The same for a shim that was found: it reports its state first, and is asked something, since it ignores clients
    /// that send nothing. The state goes to `first` if its receiver still waits, otherwise to the engine.
    pub(super) async fn introduce(self, first: Option<oneshot::Sender<Introduction>>) {
        let (mut fds, mut early) = (VecDeque::new(), Vec::new());
        let mut said = None;
        loop {
            match self.line.next(&mut fds).await {
                Heard::Report(Report::Hello { number, note, life, sockets, .. }) => {
                    if said.is_none() {
                        let request =
                            if sockets.is_empty() { Request::Kill { number: ECHO } } else { Request::Sockets };
                        self.line.send(request.encode(), Vec::new());
                    }
                    said = Some(Introduction { number, note, life: life_of(life, number) });
                    early.clear();
                }
                Heard::Report(Report::Sockets { names }) => {
                    self.held.borrow_mut().keep(&self.instance, names.into_iter().zip(fds.drain(..)).collect());
                    break;
                }
                Heard::Report(Report::Emptied { number: ECHO }) => break,
                Heard::Report(report) => early.push(report),
                Heard::Silence => self.is_silent(),
                Heard::End => {
                    self.has_ended();
                    return;
                }
            }
        }
        self.line.set_known();
        if let Some(introduction) = said {
            self.leaders.borrow_mut().found(&self.instance, &introduction.life);
            let told = match first {
                Some(first) => first.send(introduction),
                None => Err(introduction),
            };
            if let Err(Introduction { number, life, .. }) = told {
                let (instance, line) = (self.instance.clone(), self.line.number());
                self.tell(Event::Adopted { instance, line, invocation: number, life });
            }
        }
        self.relay(early).await;
    }

    async fn relay(self, early: Vec<Report>) {
        for report in early {
            self.take(report);
        }
        let mut fds: VecDeque<OwnedFd> = VecDeque::new();
        loop {
            match self.line.next(&mut fds).await {
                Heard::Report(report) => self.take(report),
                Heard::Silence => self.is_silent(),
                Heard::End => return self.has_ended(),
            }
        }
    }

    fn take(&self, report: Report) {
        if let Some(event) = event_of(&self.instance, self.line.number(), report) {
            match &event {
                Event::Adopted { life, .. } => self.leaders.borrow_mut().found(&self.instance, life),
                Event::Started { pid, .. } => self.leaders.borrow_mut().started(&self.instance, *pid),
                _ => {}
            }
            self.tell(event);
        }
    }

    /// Sends an event, unless the shim was released: then the engine does not want any.
    fn tell(&self, event: Event) {
        if matches!(*self.released.borrow(), Released::No) {
            let _ = self.inbox.send(event);
        }
    }

    fn is_silent(&self) {
        if matches!(*self.released.borrow(), Released::Told { .. }) {
            stray::kill_shim(&self.run, &self.instance, self.line.shim_pid());
            self.line.close();
            return;
        }
        let (instance, line) = (self.instance.clone(), self.line.number());
        self.tell(Event::Unreached { instance, line, why: Unreached::Silent });
    }

    fn has_ended(&self) {
        if let Released::Told { leaves } = self.released.take() {
            if let Some(leaves) = leaves {
                stray::take_away(&leaves);
            }
        } else {
            let (instance, line) = (self.instance.clone(), self.line.number());
            let _ = self.inbox.send(Event::LineBroken { instance, line });
        }
    }
}

impl Released {
    /// Tells a shim to exit; one that does not is killed.
    pub(super) fn tell(&mut self, line: &Line, leaves: Option<PathBuf>) {
        *self = Self::Told { leaves };
        line.send(Request::Release.encode(), Vec::new());
        line.expect_end_within(GOING);
    }
}
