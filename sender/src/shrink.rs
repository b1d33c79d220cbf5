//! What a result loses when it is too long: for a spool that is too small even for the newest result of each object, or for
//! a frame.
//!
//! First the long output goes, then the perfdata of the first line. State and the first line's text stay, always.

use nagios::stored;
use nagios::{CheckResult, PluginOutput};
use spool::Shrink;

/// How many stages there are: each does what those before it do, too.
pub(crate) const STAGES: u8 = PERFDATA;

const PERFDATA: u8 = 2;

/// Cuts the stored output.
pub(crate) struct ShrinkText;

impl Shrink for ShrinkText {
    fn stages(&self) -> u8 {
        STAGES
    }

    fn shrink(&self, stage: u8, _key: &[u8], payload: &[u8], out: &mut Vec<u8>) -> bool {
        let Ok((result, origin)) = stored::decode(payload) else {
            return false;
        };
        let Some(output) = shortened(stage, &result.output) else {
            return false;
        };
        stored::encode(&CheckResult { output, ..result }, origin, out);
        true
    }
}

/// What is left of an output after a stage, from 1; `None` if it stays as it is.
pub(crate) fn shortened(stage: u8, output: &PluginOutput) -> Option<PluginOutput> {
    let escaped = output.escaped();
    let mut kept = first_line(escaped);
    if stage >= PERFDATA {
        kept = kept.split(|byte| *byte == b'|').next().unwrap_or_default();
    }
    (kept.len() < escaped.len()).then(|| PluginOutput::from_escaped(kept))
}

/// What comes before the first `\n`; an escaped backslash before an `n` is none.
fn first_line(escaped: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', &escaped[at..]) {
        at += offset;
        if escaped.get(at + 1) == Some(&b'n') {
            return &escaped[..at];
        }
        at = (at + 2).min(escaped.len());
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbered;

    /// What is left of the text after a stage; nothing if it stays.
    fn shrunk(stage: u8, text: &[u8]) -> Option<Vec<u8>> {
        let result = CheckResult { output: PluginOutput::from_text(text), ..numbered(0) };
        let (mut payload, mut out) = (Vec::new(), Vec::new());
        stored::encode(&result, b"node", &mut payload);
        ShrinkText.shrink(stage, b"", &payload, &mut out).then(|| {
            let (left, origin) = stored::decode(&out).unwrap();
            assert_eq!((&left.object, left.code, origin), (&result.object, result.code, &b"node"[..]));
            left.output.to_text()
        })
    }

    #[test]
    fn long_output_goes_first_then_perfdata() {
        let whole = b"C:\\new is full|c=9;8\nlong\nmore|d=1";
        assert_eq!(shrunk(1, whole).unwrap(), b"C:\\new is full|c=9;8");
        assert_eq!(shrunk(2, whole).unwrap(), b"C:\\new is full");
        assert_eq!(shrunk(2, b"C:\\new is full|c=9;8").unwrap(), b"C:\\new is full");
    }

    #[test]
    fn what_has_nothing_to_lose_stays() {
        assert_eq!(shrunk(1, b"C:\\new|c=1"), None);
        assert_eq!(shrunk(2, b"C:\\new \\\\"), None);
        assert!(!ShrinkText.shrink(1, b"", b"no result", &mut Vec::new()));
    }
}
