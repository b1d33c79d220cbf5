//! What is sent: everything that has gone wrong between two implementations of a protocol before, or could.

/// One connection's worth of input.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Arguments of `send_nsca`.
    pub(crate) args: &'static [&'static str],
    pub(crate) input: Vec<u8>,
    /// How many lines a core sees.
    pub(crate) results: usize,
}

/// What separates sets.
const ETB: u8 = 0x17;

/// Sets as they come from scripts, each the input of a connection, and all together that of another one.
fn sets() -> Vec<(&'static str, Vec<u8>)> {
    let long_output = |length: usize| [b"web1\tLong\t0\t".to_vec(), vec![b'x'; length]].concat();
    vec![
        ("a service check", b"web1\tHTTP\t0\tOK - 0.2 s|time=0.2s;1;2\n".to_vec()),
        ("a host check", b"web1\t1\tDOWN - no answer\n".to_vec()),
        ("no newline at the end", b"web1\tHTTP\t0\tOK".to_vec()),
        ("several lines", b"web1\tDisk\t2\tfull\n/ 99 %\n/home 98 %|/=99\n/home=98\n".to_vec()),
        ("backslashes", br"win1	Disk C:\	1	C:\new\temp is \\full\n\".to_vec()),
        ("semicolons and bars", b"web1\tLog\t0\ta;b|c|d;e;;\n".to_vec()),
        ("quotes and shell characters", b"web1\tLog\t0\t`a` \"b\" 'c' $d$ <e> &f ~ * ?\n".to_vec()),
        ("tabs", b"web1\tLog\t0\ta\tb\t\tc\n".to_vec()),
        ("UTF-8", "köln1\tPlatz für Züge\t0\t„voll“ – 12 €".as_bytes().to_vec()),
        ("Latin-1", b"k\xf6ln1\tPlatz f\xfcr Z\xfcge\t0\tvoll \xa4".to_vec()),
        ("carriage returns", b"win1\tLog\t0\tfirst\r\nsecond\rthird\r\n".to_vec()),
        ("no output", b"web1\tHTTP\t0\t\n".to_vec()),
        ("blanks around the output", b"web1\tHTTP\t0\t  ok  \n \n".to_vec()),
        ("a negative code", b"web1\tHTTP\t-1\todd\n".to_vec()),
        ("a large code", b"web1\tHTTP\t70000\todd\n".to_vec()),
        ("a host's large code", b"web1\t32767\todd\n".to_vec()),
        ("a code that is none", b"web1\tHTTP\tOK\todd\n".to_vec()),
        ("as much output as a packet holds", long_output(4095)),
        ("more output than a packet holds", long_output(4500)),
        (
            "longer names than a packet holds",
            [vec![b'h'; 100], b"\t".to_vec(), vec![b's'; 200], b"\t0\tok".to_vec()].concat(),
        ),
    ]
}

/// Everything that goes over one connection of the modern kind.
pub(crate) fn modern() -> Vec<Case> {
    let single = |(name, input)| Case { name, args: &[], input, results: 1 };
    let mut cases: Vec<Case> = sets().into_iter().map(single).collect();
    cases.push(together());
    cases.push(Case {
        name: "other delimiters",
        args: &["-d", ";", "-ds", "0x0a"],
        input: b"web1;HTTP;0;a;b\tc\nweb1;1;down\nweb2;HTTP;2;last".to_vec(),
        results: 3,
    });
    cases.push(Case {
        name: "a delimiter in hex",
        args: &["-d", "0x2c"],
        input: b"web1,HTTP,0,a\tb".to_vec(),
        results: 1,
    });
    cases
}

/// All sets over one connection.
pub(crate) fn together() -> Case {
    let sets: Vec<Vec<u8>> = sets().into_iter().map(|(_, set)| set).collect();
    Case { name: "many results", args: &[], results: sets.len(), input: sets.join(&ETB) }
}

/// The sets of the kind of NSCA 2.7. A stock daemon takes one of them per connection.
pub(crate) fn legacy() -> Vec<Case> {
    let single = |(name, input)| Case { name, args: &["--legacy-2-7-mode"], input, results: 1 };
    sets().into_iter().map(single).collect()
}

/// The same over one connection, which only Understudy takes.
pub(crate) fn legacy_together() -> Case {
    Case { args: &["--legacy-2-7-mode"], ..together() }
}
