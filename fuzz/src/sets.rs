//! What `send_nsca` reads on its standard input.

use nsca::sets::{MAX_SET_BYTES, Set, SetTooLong, Splitter, parse};

use super::pieces::{SIZES_BYTES, pieces};

/// `data`: the delimiters of sets and of fields, the sizes of pieces, and the stream.
///
/// Sets do not depend on how the stream is cut, together they are the stream, and none is longer than allowed. What
/// is read from a set lies in it, and is read the same when it is written again.
pub fn sets(data: &[u8]) {
    let Some(([set, field, sizes @ ..], stream)) = data.split_first_chunk::<{ 2 + SIZES_BYTES }>() else { return };
    let (sets, end) = split(*set, [stream]);
    let cut = split(*set, pieces(stream, *sizes));
    assert!((&sets, end) == (&cut.0, cut.1), "pieces make a difference: {sets:?} {cut:?}");
    assert!(sets.iter().all(|set| set.len() <= MAX_SET_BYTES), "a set is too long");
    let joined = sets.join(set);
    assert!(stream.starts_with(&joined), "a set is not in the stream");
    // A separator at the end ends the last set.
    assert!(end.is_err() || stream.len() - joined.len() <= 1, "a set is missing");
    for set in &sets {
        if let Some(read) = parse(set, *field) {
            check(&read, set, *field);
        }
    }
}

fn split<'a>(delimiter: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Result<(), SetTooLong>) {
    let mut splitter = Splitter::new(delimiter);
    let mut sets = Vec::new();
    for mut bytes in pieces {
        while !bytes.is_empty() {
            match splitter.handle_bytes(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => {
                    assert_eq!(splitter.handle_bytes(b"x"), Err(error), "an error does not last");
                    return (sets, Err(error));
                }
            }
            sets.extend(splitter.poll_set().map(<[u8]>::to_vec));
        }
    }
    splitter.handle_eof();
    sets.extend(splitter.poll_set().map(<[u8]>::to_vec));
    (sets, Ok(()))
}

fn check(read: &Set<'_>, set: &[u8], delimiter: u8) {
    assert!(!read.host.is_empty() && !read.output.is_empty(), "{read:?}");
    for text in [read.host, read.service, read.output] {
        assert!(!text.contains(&0), "a NUL in a text");
        assert!(text.is_empty() || set.as_ptr_range().contains(&text.as_ptr()), "not in the set");
    }
    assert!(!read.host.contains(&delimiter) && !read.service.contains(&delimiter), "a delimiter in a name");
    // A delimiter that numbers are written with cannot separate them.
    if delimiter != 0 && delimiter != b'-' && !delimiter.is_ascii_digit() {
        let code = read.code.to_string().into_bytes();
        let mut fields = vec![read.host, read.service, &code, read.output];
        if read.service.is_empty() {
            fields.remove(1);
            // Ends the output, which may have blanks at its end in front of a delimiter.
            fields.push(b"");
        }
        assert_eq!(parse(&fields.join(&delimiter), delimiter).as_ref(), Some(read));
    }
}
