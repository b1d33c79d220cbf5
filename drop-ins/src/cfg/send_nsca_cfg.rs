//! `send_nsca.cfg`.

use std::path::Path;

use nsca::packet::PacketSize;
use nsca::{Method, Secret};

use super::{DropInError, read};

/// What a `send_nsca.cfg` says.
#[derive(Clone, Debug)]
pub struct SendNscaCfg {
    /// Encryption method (default: XOR) and password (default: none).
    pub secret: Secret,
    /// The size of packet, if the file names one; it then wins over the command line.
    pub packet_size: Option<PacketSize>,
}

impl Default for SendNscaCfg {
    fn default() -> Self {
        SendNscaCfg { secret: Secret::new(Method::Xor, b""), packet_size: None }
    }
}

impl SendNscaCfg {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, DropInError> {
        let mut method = Method::Xor;
        let mut password = Vec::new();
        let mut packet_size = None;
        read(path, |setting| {
            match setting.key {
                "password" => password = setting.password()?,
                "encryption_method" => method = setting.method("encryption method")?,
                "legacy_2_7_mode" => {
                    let legacy = matches!(setting.value, "true" | "1");
                    packet_size = Some(if legacy { PacketSize::Legacy } else { PacketSize::Modern });
                }
                _ => return Err(setting.error("Unknown option specified")),
            }
            Ok(())
        })?;
        Ok(SendNscaCfg { secret: Secret::new(method, &password), packet_size })
    }
}
