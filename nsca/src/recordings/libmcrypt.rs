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
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
            assert_eq!(encrypted, cipher, "encryption of {} in pieces of {piece}", line.name);
            assert_eq!(decrypted, plain, "decryption of {} in pieces of {piece}", line.name);
        }
    }
}

/// 24 zeros with a key of zeros of the maximum length and an initialization vector of sevens.
#[test]
fn an_empty_password_is_a_key_of_zeros() {
    let recorded = [
        (Method::Des, "d1df111cc0e505e9d696cadb0f7422bdda9857263b010bcf"),
        (Method::TripleDes, "d1df111cc0e505e9d696cadb0f7422bdda9857263b010bcf"),
        (Method::Cast128, "38b869f2801cf7ef781724c42b38a49a867edc8c3bf38c7a"),
        (Method::Cast256, "1ef073307e6a141380480e85b5da4ad7eb11c39968644f38"),
        (Method::Xtea, "b40a9ee71264d746ff588af6733d3602b10309b02e009b0a"),
        (Method::Blowfish, "2f60d8216806d6b35c4e43e83e6768d1bf70a8b3694387f3"),
        (Method::Twofish, "dde2dd217d5b2598a1e0e6a8ae22e7aa41d0d105c1799236"),
        (Method::Loki97, "25979b6f574d0ea7b3348016f16795d5eebddc675fafbc97"),
        (Method::Rc2, "5b6a66a7ecb172a8185d6929c5d3d2a562a68cd295b0bad3"),
        (Method::Rijndael128, "25864fb9a6eb072a22fc86d36997b2c5669c2c488b80daca"),
        (Method::Rijndael192, "417e236c8d867ba01cd88e6a2050eb02ec9fbd8ad3f0bae6"),
        (Method::Rijndael256, "070707070707070707070707070707070707070707070707"),
        (Method::Serpent, "505874cb3505390db77d4cf1b7ca529acf96a266285ac40c"),
        (Method::Gost, "6fc8bcc1b0356b0912b852a56c6560d067c3f2e15356d840"),
        (Method::SaferPlus, "b52b81f69286601536ed325a508eecdf83be4703bcc45edf"),
    ];
    for (method, cipher) in recorded {
        let mut bytes = [0; 24];
        Keystream::new(Secret::new(method, b""), [7; IV_BYTES]).encrypt(&mut bytes);
        assert_eq!(bytes, hex(cipher)[..], "{method}");
    }
}
