//! Numbers as the originals read them.

/// A number as C's `atoi` reads it: blanks, a sign, digits. The rest is ignored, no digits are 0, and what is too large
/// is the largest number.
pub(crate) fn atoi(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let magnitude = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_c_reads_it() {
        for (text, number) in
            [("14", 14), (" 14x", 14), ("-3", -3), ("+7", 7), ("", 0), ("x", 0), ("- 3", 0), ("1 2", 1)]
        {
            assert_eq!(atoi(text.as_bytes()), number, "{text:?}");
        }
        assert_eq!(atoi(&[b'9'; 40]), i64::MAX);
    }
}
