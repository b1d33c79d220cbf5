//! ARCHITECTURE.md shows the table that the machine follows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use failover::machine::table;

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

#[test]
fn the_table_in_the_architecture_is_the_machines() {
    let (_, after) = ARCHITECTURE.split_once("<!-- the failover's transitions: begin -->\n").unwrap();
    let (shown, _) = after.split_once("<!-- the failover's transitions: end -->").unwrap();
    let is = table::markdown();
    assert_eq!(shown.trim(), is.trim(), "put this into ARCHITECTURE.md:\n\n{is}");
}
