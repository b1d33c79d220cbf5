//! Numbers as people read them, with their units.

use bytesize::ByteSize;

/// `1,234,567`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 result`, `1,234 results`
pub(super) fn results(number: u64) -> String {
    format!("{} result{}", count(number), if number == 1 { "" } else { "s" })
}

/// `4.2 MiB`
pub(super) fn bytes(number: u64) -> String {
    ByteSize(number).display().iec().to_string()
}

/// The two largest units: `3 d 4 h`, `5 min 3 s`, `0 s`.
pub(super) fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let (length, unit) = units[largest];
    let mut text = format!("{} {unit}", count(seconds / length));
    if let Some((shorter, unit)) = units.get(largest + 1)
        && seconds % length >= *shorter
    {
        text += &format!(" {} {unit}", seconds % length / shorter);
    }
    text
}

/// `12 ms ahead of this node's`, `3.2 s behind this node's`, `exact to 1 ms`
pub(super) fn offset(ms: i64) -> String {
    let direction = if ms > 0 { "ahead of this node's" } else { "behind this node's" };
    match ms.unsigned_abs() {
        0 => "exact to 1 ms".to_owned(),
        ms @ 1..1000 => format!("{ms} ms {direction}"),
        ms @ 1000..60_000 => format!("{}.{} s {direction}", ms / 1000, ms % 1000 / 100),
        ms => format!("{} {direction}", duration(ms / 1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        assert_eq!(cases.map(|(number, _)| count(number)), cases.map(|(_, text)| text));
        assert_eq!([results(0), results(1), results(2000)], ["0 results", "1 result", "2,000 results"]);
        assert_eq!([bytes(0), bytes(4_404_019), bytes(256 << 20)], ["0 B", "4.2 MiB", "256.0 MiB"]);
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (303, "5 min 3 s"),
            (3_600, "1 h"),
            (11_520, "3 h 12 min"),
            (3_659, "1 h"),
            (273_600, "3 d 4 h"),
            (86_400 * 1234, "1,234 d"),
        ];
        assert_eq!(cases.map(|(seconds, _)| duration(seconds)), cases.map(|(_, text)| text));
    }

    #[test]
    fn offsets_say_who_is_ahead() {
        let cases = [
            (0, "exact to 1 ms"),
            (12, "12 ms ahead of this node's"),
            (-999, "999 ms behind this node's"),
            (3_250, "3.2 s ahead of this node's"),
            (-3_600_000, "1 h behind this node's"),
        ];
        assert_eq!(cases.map(|(ms, _)| offset(ms)), cases.map(|(_, text)| text));
    }
}
