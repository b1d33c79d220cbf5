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
                "legacy_2_7_mode" => packet_size = packet_size_for(setting.text()).or(packet_size),
                _ => return Err(setting.error("Unknown option specified")),
            }
            Ok(())
        })?;
        Ok(SendNscaCfg { secret: Secret::new(method, &password), packet_size })
    }
}

/// Anything else leaves the choice to the command line, also `1`.
fn packet_size_for(legacy: &[u8]) -> Option<PacketSize> {
    let mentions = |word: &[u8]| legacy.windows(word.len()).any(|part| part == word);
    if mentions(b"true") || mentions(b"yes") {
        Some(PacketSize::Legacy)
    } else if mentions(b"false") || mentions(b"no") {
        Some(PacketSize::Modern)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_file;
    use super::*;

    fn read_text(text: impl AsRef<[u8]>) -> Result<SendNscaCfg, String> {
        let file = test_file::holding(text);
        let name = file.path().display().to_string();
        SendNscaCfg::read(file.path()).map_err(|error| error.to_string().replace(&name, "FILE"))
    }

    /// What the secret makes of a packet tells method and password.
    fn keystream(secret: &Secret) -> Vec<u8> {
        use nsca::packet::INIT_BYTES;
        let mut session = nsca::classic::ClientSession::new(secret.clone(), PacketSize::Legacy, 1);
        let now = std::time::Instant::now();
        assert_eq!(session.handle_bytes(&[7; INIT_BYTES], now), Ok(INIT_BYTES));
        let mut packet = Vec::new();
        let _ = session.encode(0, b"h", b"s", b"o", now, &mut packet);
        packet
    }

    fn assert_same(secret: &Secret, method: Method, password: &[u8]) {
        assert_eq!(keystream(secret), keystream(&Secret::new(method, password)));
    }

    #[test]
    fn every_key_counts() {
        let cfg = read_text("password=secret\nencryption_method=14\nlegacy_2_7_mode=true\n").unwrap();
        assert_same(&cfg.secret, Method::Rijndael128, b"secret");
        assert_eq!(cfg.packet_size, Some(PacketSize::Legacy));
    }

    #[test]
    fn the_defaults_are_xor_without_a_password() {
        let cfg = read_text("").unwrap();
        assert_same(&cfg.secret, Method::Xor, b"");
        assert_eq!(cfg.packet_size, None);
    }

    #[test]
    fn a_password_keeps_its_blanks_and_its_carriage_return() {
        assert_same(&read_text("password= two words \r\n").unwrap().secret, Method::Xor, b" two words \r");
        assert_same(&read_text(b"password=p\xe4ss").unwrap().secret, Method::Xor, b"p\xe4ss");
    }

    #[test]
    fn legacy_mode_is_read_as_the_original_reads_it() {
        let sizes = [
            ("true", Some(PacketSize::Legacy)),
            ("yes", Some(PacketSize::Legacy)),
            (" true ", Some(PacketSize::Legacy)),
            ("false", Some(PacketSize::Modern)),
            ("no", Some(PacketSize::Modern)),
            ("1", None),
            ("TRUE", None),
        ];
        for (value, size) in sizes {
            assert_eq!(read_text(format!("legacy_2_7_mode={value}")).unwrap().packet_size, size, "{value}");
        }
    }

    #[test]
    fn errors_have_the_words_of_the_original() {
        let unknown = read_text("password=x\nPASSWORD=y\n").unwrap_err();
        assert_eq!(unknown, "Unknown option specified in config file 'FILE' - Line 2");
        let method = read_text("encryption_method=13\n").unwrap_err();
        assert_eq!(method, "Invalid encryption method (13) in config file 'FILE' - Line 1");
        let unusable = read_text("encryption_method=12\n").unwrap_err();
        assert!(unusable.contains("arcfour") && unusable.ends_with("in config file 'FILE' - Line 1"), "{unusable}");
        assert_eq!(
            read_text(format!("password={}\n", "x".repeat(5000))).unwrap_err(),
            "Password is too long in config file 'FILE' - Line 1"
        );
    }

    #[test]
    fn the_file_of_the_debian_package_works_unmodified() {
        let path = Path::new("/etc/send_nsca.cfg");
        assert!(path.exists(), "{path:?} is missing: run `apt-get install nsca-client`");
        assert_same(&SendNscaCfg::read(path).unwrap().secret, Method::Xor, b"");
    }
}
