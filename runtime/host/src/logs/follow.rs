//! Lines as they come.

use core_engine::InvocationId;
use core_shim::place::Place;
use core_shim::record::Ended;

use super::reader::StreamReader;
use super::store::streams_of_instances;
use super::{Entry, Selection, merge};
use crate::paths::Paths;

/// Goes on where a reading ended.
pub struct Follower {
    paths: Paths,
    services: Vec<String>,
    readers: Vec<StreamReader>,
}

impl Follower {
    /// Reads what is selected and there now, and can go on from there.
    pub fn begin(paths: &Paths, selection: &Selection, tell: &mut dyn FnMut(Entry)) -> Self {
        let readers = merge::read(paths, selection, tell);
        Self { paths: paths.clone(), services: selection.services.clone(), readers }
    }

    /// What has come since the last call, in the order of times.
    pub fn more(&mut self) -> Vec<Entry> {
        for stream in streams_of_instances(&self.paths, &self.services) {
            match self.readers.iter_mut().find(|reader| reader.is_of(&stream)) {
                Some(reader) => reader.update(&stream),
                None => self.readers.push(StreamReader::new(stream, 0, 0)),
            }
        }
        let mut all = Vec::new();
        for reader in &mut self.readers {
            // A line that has not ended is told when it has, or when nobody is there any more who could end it.
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

/// Whether an invocation has ended, and all that it said is in its log: its record is written after that.
fn has_ended(paths: &Paths, invocation: &InvocationId) -> bool {
    let place = Place::new(&paths.run, &invocation.instance.to_string());
    match Ended::read(&place.exit()) {
        Ok(ended) => ended.number >= invocation.number,
        Err(_) => !place.invocation().exists(),
    }
}
