//! `mcrypt-cfb8.jsonl`: what libmcrypt made of a text, two passwords for each cipher.

use super::*;

#[derive(Deserialize)]
struct Line {
    method: u8,
    name: String,
    #[serde(default)]
    unavailable: bool,
    #[serde(default)]
    password: String,
    #[serde(default)]
    iv: String,
    #[serde(default)]
    plain: String,
    #[serde(default)]
    cipher: String,
}

fn lines() -> Vec<Line> {
    let text = std::fs::read_to_string(data("mcrypt-cfb8.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn keystream(line: &Line) -> Keystream {
    let secret = Secret::new(Method::try_from(line.method).unwrap(), line.password.as_bytes());
    Keystream::new(secret, hex(&line.iv).try_into().unwrap())
}

#[test]
fn all_methods_are_recorded() {
    let lines = lines();
    let (unavailable, available): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.unavailable);
    assert_eq!((available.len(), unavailable.len()), (2 * 15, 6));
    for line in unavailable {
        assert!(line.name.parse::<Method>().is_err(), "{}", line.name);
        assert!(Method::try_from(line.method).is_err(), "{}", line.name);
    }
    for line in available {
        assert_eq!(line.name.parse::<Method>().unwrap().number(), line.method);
        assert_eq!(hex(&line.iv).len(), IV_BYTES);
    }
}

#[test]
fn every_cipher_gives_what_libmcrypt_gives_in_pieces_of_any_size() {
    for line in lines().iter().filter(|line| !line.unavailable) {
        let (plain, cipher) = (hex(&line.plain), hex(&line.cipher));
        for piece in [1, 7, 63, 64, 65, 200, plain.len()] {
            let (mut encrypted, mut decrypted) = (plain.clone(), cipher.clone());
            let (mut encrypting, mut decrypting) = (keystream(line), keystream(line));
            for (a, b) in encrypted.chunks_mut(piece).zip(decrypted.chunks_mut(piece)) {
                encrypting.encrypt(a);
                decrypting.decrypt(b);
            }
            assert_eq!(
                encrypted, cipher,
                "encryption of {} in pieces of {piece}",
                line.name
            );
            assert_eq!(
                decrypted, plain,
                "decryption of {} in pieces of {piece}",
                line.name
            );
        }
    }
}
