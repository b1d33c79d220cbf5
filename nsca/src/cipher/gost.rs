//! The S-boxes of libmcrypt's GOST 28147-89.
//!
//! The standard leaves the S-boxes open; libmcrypt has those that Schneier's "Applied Cryptography" prints from
//! the Central Bank of the Russian Federation, with a deviation in one value.

use magma::Sbox;

/// libmcrypt's S-boxes, for [`magma::Gost89`].
pub(super) enum Libmcrypt {}

impl Sbox for Libmcrypt {
    const NAME: &'static str = "libmcrypt";
    const SBOX: [[u8; 16]; 8] = [
        [1, 15, 13, 0, 5, 7, 10, 4, 9, 2, 3, 14, 6, 11, 8, 2],
        [13, 11, 4, 1, 3, 15, 5, 9, 0, 10, 14, 7, 6, 8, 2, 12],
        [4, 11, 10, 0, 7, 2, 1, 13, 3, 6, 8, 5, 9, 12, 15, 14],
        [6, 12, 7, 1, 5, 15, 13, 8, 4, 10, 9, 14, 0, 3, 11, 2],
        [7, 13, 10, 1, 0, 8, 9, 15, 14, 4, 6, 12, 11, 2, 5, 3],
        [5, 8, 1, 13, 10, 3, 4, 2, 14, 15, 12, 7, 6, 0, 9, 11],
        [14, 11, 4, 12, 6, 13, 15, 10, 2, 3, 8, 1, 0, 7, 5, 9],
        [4, 10, 9, 2, 13, 8, 0, 14, 6, 11, 1, 12, 7, 15, 5, 3],
    ];
}
