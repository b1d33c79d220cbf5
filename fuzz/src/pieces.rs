//! A stream in pieces, as a socket or a FIFO delivers it.

/// Length of the sizes that stand in front of a stream.
pub(super) const SIZES_BYTES: usize = 4;

/// Cuts `stream` into pieces of two sizes that alternate; each is a little-endian u16, plus one.
pub(super) fn pieces(stream: &[u8], sizes: [u8; SIZES_BYTES]) -> impl Iterator<Item = &[u8]> {
    let [a, b, c, d] = sizes;
    let sizes = [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])];
    let mut sizes = sizes.into_iter().cycle();
    let mut rest = stream;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let size = usize::from(sizes.next()?) + 1;
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        Some(piece)
    })
}
