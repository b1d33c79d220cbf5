//! Check results from the core's perfdata FIFO: no process per result, and nothing stripped from the texts.
//!
//! The core writes one line per result, made from a template that [`template`] gives. The core opens the FIFO
//! without blocking and forgets what does not fit, so that lines arrive torn or glued together when nobody reads for
//! a moment. [`frame`] takes only lines that are provably whole; `fifo` makes sure that there is always a reader;
//! `silence` notices a core that does not write at all.

pub(crate) mod copy;
pub(crate) mod fifo;
pub mod frame;
pub(crate) mod silence;
pub mod template;
