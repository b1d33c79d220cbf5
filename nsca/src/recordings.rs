//! Byte for byte against recordings: libmcrypt 2.5.8 itself, and everything that a real send_nsca put on the
//! wire for a fixed initialization vector and time.

use std::path::PathBuf;

use serde::Deserialize;

use crate::cipher::Keystream;
use crate::packet::IV_BYTES;
use crate::{Method, Secret};

mod libmcrypt;
mod send_nsca;

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
