//! What it costs to bring a check result into the forms that it takes on its way: a record, and a line of the command file.

use divan::{Bencher, black_box};
use nagios::command::process_check_result;
use nagios::{CheckResult, Flavour, Object, PluginOutput, ReturnCode, Timestamp, stored};

const TEXT: &[u8] =
    b"HTTP OK: HTTP/1.1 200 OK - 10918 bytes in 0.043 second response time |time=0.043s;;;0.000000;10.000000";

/// Several lines, and backslashes.
const LONG_TEXT: &[u8] =
    b"DISK WARNING - C:\\ 81% used |c=81%;80;90\nC:\\ 81 of 100 GB\nD:\\ 2 of 10 GB\nE:\\ is empty\n";

fn main() {
    divan::main();
}

fn result(text: &[u8]) -> CheckResult {
    let host = "web1.example.org".try_into().expect("a name");
    let object = Object::Service(host, "HTTP".try_into().expect("a name"));
    let output = PluginOutput::from_text(text);
    CheckResult::new(object, ReturnCode::new(1), output, Timestamp::from_seconds(1_780_000_000))
}

#[divan::bench(args = [Flavour::Nagios4, Flavour::Icinga1, Flavour::Naemon])]
fn command_line(bencher: Bencher, flavour: Flavour) {
    encode_line(bencher, flavour, TEXT);
}

#[divan::bench(args = [Flavour::Nagios4, Flavour::Icinga1, Flavour::Naemon])]
fn command_line_of_long_output(bencher: Bencher, flavour: Flavour) {
    encode_line(bencher, flavour, LONG_TEXT);
}

fn encode_line(bencher: Bencher, flavour: Flavour, text: &[u8]) {
    let (result, mut line) = (result(text), Vec::new());
    bencher.bench_local(|| {
        line.clear();
        process_check_result(flavour, black_box(&result), black_box(&mut line))
    });
}

#[divan::bench]
fn record(bencher: Bencher) {
    let (result, mut bytes) = (result(TEXT), Vec::new());
    bencher.bench_local(|| {
        bytes.clear();
        stored::encode(black_box(&result), b"", black_box(&mut bytes));
    });
}

#[divan::bench]
fn record_read_again(bencher: Bencher) {
    let mut bytes = Vec::new();
    stored::encode(&result(TEXT), b"", &mut bytes);
    bencher.bench_local(|| stored::decode(black_box(&bytes)).expect("it is one").0);
}
