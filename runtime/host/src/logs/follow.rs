//! New log lines as they come.

use core_engine::InvocationId;
use core_shim::place::Place;
use core_shim::record::Ended;

use super::reader::StreamReader;
use super::store::streams_of_instances;
use super::{Entry, Selection, merge};
use crate::paths::Paths;

/// Continues where a first reading ended.
pub struct Follower {
    paths: Paths,
    services: Vec<String>,
    readers: Vec<StreamReader>,
}

impl Follower {
    /// Passes the selected present lines to `tell`, and returns a follower that continues from there.
    pub fn begin(paths: &Paths, selection: &Selection, tell: &mut dyn FnMut(Entry)) -> Self {
        let readers = merge::read(paths, selection, tell);
        Self { paths: paths.clone(), services: selection.services.clone(), readers }
    }

    /// The lines since the last call, ordered by time.
    pub fn more(&mut self) -> Vec<Entry> {
        for stream in streams_of_instances(&self.paths, &self.services) {
            match self.readers.iter_mut().find(|reader| reader.is_of(&stream)) {
                Some(reader) => reader.update(&stream),
                None => self.readers.push(StreamReader::new(stream, 0, 0)),
            }
        }
        let mut all = Vec::new();
        for reader in &mut self.readers {
            // An incomplete line is returned once its end comes, or once its invocation has ended.
            while let Some(entry) = reader.next(false) {
                all.push(entry);
            }
            if reader.open_of().is_some_and(|invocation| has_ended(&self.paths, &invocation)) {
                all.extend(reader.next(true));
            }
        }
        all.sort_by_key(|entry| entry.wall_ns);
        all
    }
}

/// Whether an invocation has ended and its log is complete: its exit record is written after its log.
fn has_ended(paths: &Paths, invocation: &InvocationId) -> bool {
    let place = Place::new(&paths.run, &invocation.instance.to_string());
    match Ended::read(&place.exit()) {
        Ok(ended) => ended.number >= invocation.number,
        Err(_) => !place.invocation().exists(),
    }
}
