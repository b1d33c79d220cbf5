//! The encryption methods of NSCA, by name and by number.
//!
//! The numbers are those of `encryption_method` in send_nsca.cfg and `decryption_method` in nsca.cfg, the
//! names those of libmcrypt. Of the 23 that the sample configuration lists, 17 work; with the other six a
//! stock `send_nsca` or `nsca` ends at its start, so that no peer can exist that speaks them.

use std::fmt;
use std::str::FromStr;

/// How the packets of a session are encrypted.
///
/// Except for [`None`](Method::None) and [`Xor`](Method::Xor), a block cipher in CFB mode with 8-bit feedback.
/// None of the methods authenticates: the CRC of a packet is inside the encryption, but can be forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Method {
    /// Nothing is encrypted, the password is not used.
    None = 0,
    /// XOR with the initialization vector and the password: obfuscation.
    Xor = 1,
    /// DES, 56-bit key.
    Des = 2,
    /// Triple DES with three keys.
    TripleDes = 3,
    /// CAST-128 (CAST5).
    Cast128 = 4,
    /// CAST-256 (CAST6).
    Cast256 = 5,
    /// XTEA.
    Xtea = 6,
    /// Blowfish, 448-bit key.
    Blowfish = 8,
    /// Twofish, 256-bit key.
    Twofish = 9,
    /// LOKI97.
    Loki97 = 10,
    /// RC2, 1024-bit key.
    Rc2 = 11,
    /// Rijndael with 128-bit blocks and a 256-bit key: AES-256.
    Rijndael128 = 14,
    /// Rijndael with 192-bit blocks and a 256-bit key.
    Rijndael192 = 15,
    /// Rijndael with 256-bit blocks and a 256-bit key.
    Rijndael256 = 16,
    /// Serpent, 256-bit key.
    Serpent = 20,
    /// GOST 28147-89.
    Gost = 23,
    /// SAFER+, 256-bit key.
    SaferPlus = 26,
}

/// Why a method was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// NSCA has a number for this method, but no stock program can use it.
    #[error(
        "encryption method {number} ({name}) cannot be used: {reason}, so send_nsca and nsca do not start \
         with it either; choose another one on both sides, for example rijndael-128 (14)"
    )]
    Unusable {
        /// NSCA's number.
        number: u8,
        /// libmcrypt's name.
        name: &'static str,
        /// What is the matter with it.
        reason: &'static str,
    },
    /// NSCA has no such method.
    #[error("unknown encryption method {given:?}; valid are {}", valid_names())]
    Unknown {
        /// What was given, cut if it is long.
        given: String,
    },
}

/// An unknown name is quoted in a message up to this length.
const MAX_QUOTED_CHARS: usize = 40;

const STREAM_CIPHER: &str = "libmcrypt has it only as a stream cipher and refuses it in the mode that NSCA uses";
const NOT_IN_LIBRARY: &str = "libmcrypt does not contain it";

/// Number, name and reason of the methods that no stock program can use.
const UNUSABLE: [(u8, &str, &str); 6] = [
    (7, "3way", NOT_IN_LIBRARY),
    (12, "arcfour", STREAM_CIPHER),
    (19, "wake", STREAM_CIPHER),
    (22, "enigma", STREAM_CIPHER),
    (24, "safer-sk64", NOT_IN_LIBRARY),
    (25, "safer-sk128", NOT_IN_LIBRARY),
];

/// Other spellings that are understood, all in lower case.
const ALIASES: [(&str, &str); 3] = [("tripledes", "3des"), ("safer+", "saferplus"), ("threeway", "3way")];

impl Method {
    const ALL: [Method; 17] = [
        Method::None,
        Method::Xor,
        Method::Des,
        Method::TripleDes,
        Method::Cast128,
        Method::Cast256,
        Method::Xtea,
        Method::Blowfish,
        Method::Twofish,
        Method::Loki97,
        Method::Rc2,
        Method::Rijndael128,
        Method::Rijndael192,
        Method::Rijndael256,
        Method::Serpent,
        Method::Gost,
        Method::SaferPlus,
    ];

    /// Every method that can be used, by ascending number.
    pub fn all() -> impl Iterator<Item = Method> {
        Self::ALL.into_iter()
    }

    /// The number that stands for this method in send_nsca.cfg and nsca.cfg.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The name that stands for this method in Understudy's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Method::None => "none",
            Method::Xor => "xor",
            Method::Des => "des",
            Method::TripleDes => "3des",
            Method::Cast128 => "cast-128",
            Method::Cast256 => "cast-256",
            Method::Xtea => "xtea",
            Method::Blowfish => "blowfish",
            Method::Twofish => "twofish",
            Method::Loki97 => "loki97",
            Method::Rc2 => "rc2",
            Method::Rijndael128 => "rijndael-128",
            Method::Rijndael192 => "rijndael-192",
            Method::Rijndael256 => "rijndael-256",
            Method::Serpent => "serpent",
            Method::Gost => "gost",
            Method::SaferPlus => "saferplus",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = MethodError;

    /// Takes a name in any case, or a number in decimal.
    fn from_str(given: &str) -> Result<Self, MethodError> {
        if let Ok(number) = given.parse::<u8>() {
            return Method::try_from(number);
        }
        let lower = given.to_ascii_lowercase();
        let name = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, name)| *name);
        if let Some(method) = Method::all().find(|method| method.name() == name) {
            return Ok(method);
        }
        match UNUSABLE.iter().find(|(_, unusable, _)| *unusable == name) {
            Some(&(number, name, reason)) => Err(MethodError::Unusable { number, name, reason }),
            None => Err(MethodError::Unknown { given: given.chars().take(MAX_QUOTED_CHARS).collect() }),
        }
    }
}

impl TryFrom<u8> for Method {
    type Error = MethodError;

    fn try_from(number: u8) -> Result<Self, MethodError> {
        if let Some(method) = Method::all().find(|method| method.number() == number) {
            return Ok(method);
        }
        match UNUSABLE.iter().find(|(unusable, _, _)| *unusable == number) {
            Some(&(number, name, reason)) => Err(MethodError::Unusable { number, name, reason }),
            None => Err(MethodError::Unknown { given: number.to_string() }),
        }
    }
}

/// "none (0), xor (1), …" for the message about an unknown method.
fn valid_names() -> String {
    let names: Vec<String> = Method::all().map(|method| format!("{method} ({})", method.number())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_name_and_by_its_number() {
        for method in Method::all() {
            assert_eq!(method.name().parse(), Ok(method));
            assert_eq!(method.name().to_ascii_uppercase().parse(), Ok(method));
            assert_eq!(method.number().to_string().parse(), Ok(method));
            assert_eq!(method.to_string(), method.name());
        }
        assert_eq!(Method::all().count(), 17);
    }

    #[test]
    fn the_numbers_are_those_of_nsca_cfg() {
        let numbers: Vec<u8> = Method::all().map(Method::number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 15, 16, 20, 23, 26]);
    }

    #[test]
    fn common_other_spellings_are_understood() {
        assert_eq!("TripleDES".parse(), Ok(Method::TripleDes));
        assert_eq!("safer+".parse(), Ok(Method::SaferPlus));
    }

    #[test]
    fn the_six_that_no_stock_program_can_use_are_refused_with_the_reason() {
        for (number, name, reason) in UNUSABLE {
            let expected = Err(MethodError::Unusable { number, name, reason });
            assert_eq!(name.parse::<Method>(), expected);
            assert_eq!(number.to_string().parse::<Method>(), expected);
        }
        let message = "12".parse::<Method>().unwrap_err().to_string();
        assert!(message.contains("arcfour") && message.contains("stream cipher"), "{message}");
    }

    #[test]
    fn an_unknown_one_is_answered_with_what_is_valid() {
        for given in ["13", "27", "256", "-1", "", "aes", " 14"] {
            let message = given.parse::<Method>().unwrap_err().to_string();
            assert!(message.contains("rijndael-128 (14)") && message.contains("none (0)"), "{message}");
        }
        let message = "x".repeat(10_000).parse::<Method>().unwrap_err().to_string();
        assert!(message.len() < 500, "{message}");
    }
}
