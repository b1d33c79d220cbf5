//! What sessions bring to the shelves.

use nsca::sealed::{Heading, NodeName, Part};
use receiver::{Amiss, Books};

use super::Shelves;

impl Books for Shelves {
    fn begin(&self, _: &NodeName) {}

    fn heading(&self, node: &NodeName, heading: Heading) {
        let Heading { part, program_start, created, notifies } = heading;
        if part == Part::Begin {
            self.begin(node);
        }
        self.head(node, book::shelf::Heading { program_start, created, notifies });
        if part == Part::End {
            self.end(node);
        }
    }

    fn record(&self, node: &NodeName, record: &[u8]) -> Result<(), Amiss> {
        self.take(node, record).map_err(Amiss::new)
    }

    fn answered(&self, _: &NodeName, shown: u32) {
        self.answers.send_modify(|answers| {
            answers.number = answers.number.wrapping_add(1);
            answers.shown = shown;
        });
    }
}
