//! What is heard on a line, as events; and how a shim that is found introduces itself.

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

use super::held::Held;
use super::leaders::Leaders;
use super::line::{Heard, Line};
use super::stray;
use super::{event_of, life_of};

/// How long a shim that was let go may take to go.
const GOING: Duration = Duration::from_secs(2);

/// How an instance stands, as the shim says that was found over it.
pub(super) struct Introduction {
    /// Number of the last invocation.
    pub(super) number: u32,
    /// Words of the supervisor that began it.
    pub(super) note: String,
    /// How it stands.
    pub(super) life: Life,
}

/// What becomes of a line when it ends.
#[derive(Clone, Debug, Default)]
pub(super) enum Released {
    /// Its end says that nobody is there any more.
    #[default]
    No,
    /// The shim was told to go. Its end says that it has.
    Told {
        /// What it leaves behind and nobody needs.
        leaves: Option<PathBuf>,
    },
}

/// Listens on a line, for the engine.
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
    /// Reads reports and gives them to the engine, until the line ends.
    pub(super) async fn listen(self) {
        self.relay(Vec::new()).await;
    }

    /// The same on a line to a shim that was found: it says how it stands, and is asked something, since whoever only
    /// connects is nobody to it. `first` is told how it stands while somebody waits there; after that, the engine is.
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
                    self.held
                        .borrow_mut()
                        .keep(self.instance.service(), names.into_iter().zip(fds.drain(..)).collect());
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

    /// Nobody asks after an instance whose shim was let go.
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
    /// Tells a shim to go; one that does not is killed.
    pub(super) fn tell(&mut self, line: &Line, leaves: Option<PathBuf>) {
        *self = Self::Told { leaves };
        line.send(Request::Release.encode(), Vec::new());
        line.expect_end_within(GOING);
    }
}
