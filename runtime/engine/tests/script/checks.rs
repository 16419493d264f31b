//! What a script shows of who is asked whether it answers.

use super::Run;

impl Run {
    /// `checks`: each service that is to answer now, and who is asked by whom.
    pub(super) fn checks(&mut self) {
        for check in self.engine.checks() {
            let to = check.to.map(|(edge, target)| format!("{edge} asks {}", target.instance));
            let line = format!("{} is to answer: {}", check.service, to.as_deref().unwrap_or("nobody can be asked"));
            self.say(&line);
        }
        self.say("no more are asked");
    }
}
