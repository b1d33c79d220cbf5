//! Commands about single objects that wait. Without I/O.
//!
//! An errand is what was issued together. It comes after the results that waited when the injector first saw it beside a core
//! that takes it, which are not reduced for it: they count attempts. Errands keep their order.
//!
//! **Invariant:** at most [`MAX_ERRAND_BYTES`] wait.

use std::collections::VecDeque;

use nagios::Flavour;
use nagios::command::ObjectCommand;

/// How many bytes of lines wait at one time: tens of thousands of commands.
pub(super) const MAX_ERRAND_BYTES: usize = 4 << 20;

/// All errands that wait, the oldest first. `T` is who is told.
#[derive(Debug)]
pub(super) struct Errands<T> {
    waiting: VecDeque<Errand<T>>,
    next_id: u64,
}

/// Lines that were issued together.
#[derive(Debug)]
pub(super) struct Errand<T> {
    id: u64,
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// The last sequence of the results that they come after.
    mark: Option<u64>,
    pub(super) issuer: T,
}

impl<T> Default for Errands<T> {
    fn default() -> Self {
        Errands { waiting: VecDeque::new(), next_id: 0 }
    }
}

impl<T> Errands<T> {
    /// Takes a new errand, and gives its id; gives the issuer back if there is no room.
    pub(super) fn add(&mut self, lines: Vec<u8>, issuer: T) -> Result<u64, T> {
        let waiting: usize = self.waiting.iter().map(|errand| errand.lines.len()).sum();
        if waiting + lines.len() > MAX_ERRAND_BYTES {
            return Err(issuer);
        }
        self.next_id += 1;
        self.waiting.push_back(Errand { id: self.next_id, lines, mark: None, issuer });
        Ok(self.next_id)
    }

    /// It never will be written.
    pub(super) fn withdraw(&mut self, id: u64) {
        self.waiting.retain(|errand| errand.id != id);
    }

    /// Whether one has no mark yet.
    pub(super) fn lacks_mark(&self) -> bool {
        self.waiting.back().is_some_and(|errand| errand.mark.is_none())
    }

    /// The results that those without a mark come after end here.
    pub(super) fn mark(&mut self, newest: u64) {
        self.waiting.iter_mut().for_each(|errand| errand.mark = errand.mark.or(Some(newest)));
    }

    /// The first mark.
    pub(super) fn until(&self) -> Option<u64> {
        self.waiting.front().and_then(|errand| errand.mark)
    }

    /// Takes the next one, if the core has everything up to its mark.
    pub(super) fn take_due(&mut self, reached: u64) -> Option<Errand<T>> {
        self.waiting.pop_front_if(|errand| errand.mark.is_some_and(|mark| mark <= reached))
    }

    /// Everybody who waits.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|errand| &errand.issuer)
    }

    /// None of them will be written. Gives everybody who waits.
    pub(super) fn take_issuers(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_iter().map(|errand| errand.issuer).collect()
    }
}

/// The lines of `commands`.
pub(super) fn encode(commands: &[ObjectCommand], flavour: Flavour) -> Vec<u8> {
    let mut lines = Vec::new();
    commands.iter().for_each(|command| command.encode(flavour, &mut lines));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_keep_their_order_and_wait_for_their_marks() {
        let mut errands = Errands::default();
        let first = errands.add(b"a\n".to_vec(), "a").unwrap();
        errands.mark(3);
        errands.add(b"b\n".to_vec(), "b").unwrap();
        assert_eq!((errands.until(), errands.take_due(2).is_none()), (Some(3), true));
        let due = errands.take_due(3).unwrap();
        assert_eq!((due.id, due.lines.as_slice(), due.issuer), (first, &b"a\n"[..], "a"));
        assert!(errands.take_due(9).is_none(), "it has no mark yet");
        errands.mark(5);
        assert_eq!(errands.take_due(9).unwrap().issuer, "b");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut errands = Errands::default();
        let id = errands.add(vec![b'\n'; MAX_ERRAND_BYTES], 1).unwrap();
        assert_eq!(errands.add(vec![b'\n'], 2), Err(2));
        errands.withdraw(id);
        assert!(errands.add(vec![b'\n'], 3).is_ok());
        assert_eq!(errands.take_issuers(), [3]);
    }
}
