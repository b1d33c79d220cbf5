//! The NSCA protocol without I/O.
