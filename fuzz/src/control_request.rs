//! What a client and a daemon say over the control socket, whoever they are.

use std::fmt::Debug;

use control::protocol::{Misunderstood, decode, encode};
use control::{Answer, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// `data`: a line, of either side.
///
/// What is understood is one line when it is written again, and is understood as the same. A status is shown in lines
/// without control characters, whatever it says.
pub fn control_request(data: &[u8]) {
    check::<Request>(data);
    if let Some(Answer::Status(status)) = check::<Answer>(data) {
        let text = status.judged().to_text();
        assert!(text.ends_with('\n') && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(line: &[u8]) -> Option<T> {
    let value = match decode::<T>(line) {
        Ok(value) => value,
        Err(Misunderstood::OtherVersion(_) | Misunderstood::Garbled(_)) => return None,
    };
    let again = encode(&value);
    assert_eq!(again.iter().position(|byte| *byte == b'\n'), Some(again.len() - 1), "not one line");
    assert_eq!(decode::<T>(&again).expect("what was understood is understood again"), value);
    Some(value)
}
