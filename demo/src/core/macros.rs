//! Command lines with macros.
//!
//! A line is cut into words first and macros are put in afterwards, so that no output can become a second argument.
//! Characters of `illegal_macro_output_chars` are taken out of outputs all the same: that is what a real core does,
//! and what a relay has to live with.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use anyhow::bail;
use nagios::{CheckType, Object, StateType};

use super::object::{Monitored, News};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    /// Words are separated by blanks; single quotes keep blanks together.
    pub(super) fn parse(line: &str) -> anyhow::Result<Self> {
        let mut words = Vec::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (word, tail) = match rest.strip_prefix('\'') {
                Some(quoted) => match quoted.split_once('\'') {
                    Some(parts) => parts,
                    None => bail!("a quote is not closed"),
                },
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            words.push(word.to_owned());
            rest = tail.trim_start();
        }
        Ok(Self { words })
    }

    pub(super) fn expand(&self, object: &Object, monitored: &Monitored, illegal: &[u8]) -> Vec<OsString> {
        let expand = |word: &String| OsString::from_vec(expand_word(word, object, monitored, illegal));
        self.words.iter().map(expand).collect()
    }
}

fn expand_word(word: &str, object: &Object, monitored: &Monitored, illegal: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.extend_from_slice(before.as_bytes());
        let (name, tail) = after.split_once('$').unwrap_or((after, ""));
        expanded.extend(value(name, object, monitored, illegal));
        rest = tail;
    }
    expanded.extend_from_slice(rest.as_bytes());
    expanded
}

/// The value of a macro; nothing for an unknown one. `$$` is a dollar sign.
fn value(name: &str, object: &Object, monitored: &Monitored, illegal: &[u8]) -> Vec<u8> {
    let legal = |text: &[u8]| text.iter().copied().filter(|byte| !illegal.contains(byte)).collect();
    match name {
        "" => b"$".to_vec(),
        "HOSTNAME" => object.host().as_bytes().to_vec(),
        "SERVICEDESC" => object.service().map(|service| service.as_bytes().to_vec()).unwrap_or_default(),
        "SERVICESTATEID" | "HOSTSTATEID" => monitored.state.to_string().into(),
        "NOTIFICATIONTYPE" => match monitored.news {
            News::Problem => b"PROBLEM".to_vec(),
            News::Recovery => b"RECOVERY".to_vec(),
        },
        "SERVICESTATETYPE" | "HOSTSTATETYPE" => match monitored.state_type {
            StateType::Soft => b"SOFT".to_vec(),
            StateType::Hard => b"HARD".to_vec(),
        },
        "SERVICEATTEMPT" | "HOSTATTEMPT" => monitored.attempt.to_string().into(),
        "SERVICECHECKTYPE" | "HOSTCHECKTYPE" => match monitored.check_type {
            CheckType::Active => b"ACTIVE".to_vec(),
            CheckType::Passive => b"PASSIVE".to_vec(),
        },
        "LASTSERVICECHECK" | "LASTHOSTCHECK" => {
            monitored.last_check.map_or(0, nagios::Timestamp::seconds).to_string().into()
        }
        "SERVICEOUTPUT" | "HOSTOUTPUT" => legal(&monitored.parts.output),
        "SERVICEPERFDATA" | "HOSTPERFDATA" => legal(&monitored.parts.perfdata),
        "LONGSERVICEOUTPUT" | "LONGHOSTOUTPUT" => legal(&monitored.parts.long_output),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use nagios::{HostName, ReturnCode, ServiceDescription, Timestamp};

    use super::*;

    #[test]
    fn words() {
        let words = |line| CommandLine::parse(line).map(|line| line.words);
        assert_eq!(words(" a  'b c' '' d").unwrap(), ["a", "b c", "", "d"]);
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn macros_stay_within_their_words() {
        let object =
            Object::Service(HostName::try_from("web1").unwrap(), ServiceDescription::try_from("disk").unwrap());
        let mut monitored = Monitored::new(String::new(), None);
        let text = b"a 'b' $c\\d|p=1\nlong \\ one\nlong two";
        monitored.record(&object, ReturnCode::new(1), text, Timestamp::from_seconds(17), nagios::CheckType::Active);
        let line = "x $HOSTNAME$;$SERVICEDESC$ '<$SERVICEOUTPUT$>' $SERVICEPERFDATA$ $LONGSERVICEOUTPUT$ \
                    $SERVICESTATEID$ $LASTSERVICECHECK$ $NONSENSE$ 5$$";
        let expanded = CommandLine::parse(line).unwrap().expand(&object, &monitored, b"'$");
        let expanded: Vec<_> = expanded.iter().map(|word| word.to_str().unwrap()).collect();
        let long = "long \\\\ one\\nlong two";
        assert_eq!(expanded, ["x", "web1;disk", "<a b c\\d>", "p=1", long, "1", "17", "", "5$"]);
    }
}
