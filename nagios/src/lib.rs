//! What every core reads and writes.
