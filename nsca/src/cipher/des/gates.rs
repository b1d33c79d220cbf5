//! The S-boxes of DES as logic gates, for many blocks at once.
//!
//! Each bit of an S-box's output is a polynomial in three of its input bits, whose coefficients are functions of the other
//! three. For each S-box, which three was searched for by program, as were the gates that make all its coefficients out of each
//! other. That the gates compute the S-boxes is what the test shows, for all inputs.

use super::sliced::Bits;

/// All eight. The first bit of input and output is the highest.
pub(super) const GATES: [fn([Bits; 6]) -> [Bits; 4]; 8] = [s1, s2, s3, s4, s5, s6, s7, s8];

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s1([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = !b; let t1 = f & e; let t2 = t1 ^ f; let t3 = f | t0; let t4 = f ^ t3;
    let t5 = t4 ^ e; let t6 = t4 ^ t1; let t7 = t5 | b; let t8 = t1 ^ t5; let t9 = t4 ^ t2; let t10 = t0 ^ t7;
    let t11 = t3 ^ t10; let t12 = t8 ^ t11; let t13 = t8 | t9; let t14 = t12 & b; let t15 = t5 ^ t13;
    let t16 = t8 ^ b; let t17 = t2 | t16; let t18 = b ^ t17; let t19 = t18 ^ t3; let t20 = !t18;
    let t21 = f ^ t16; let t22 = t18 ^ t0; let t23 = t6 | t21; let t24 = t22 ^ t9; let t25 = t23 ^ t10;
    let t26 = t24 ^ t15;
    [
        ((t25 ^ (d & t1)) ^ (c & (t0 ^ (d & t25)))) ^ (a & ((t17 ^ (d & t26)) ^ (c & (t20 ^ (d & t5))))),
        ((t6 ^ (d & t10)) ^ (c & (t21 ^ (d & t2)))) ^ (a & ((t10 ^ (d & t22)) ^ (c & (t13 ^ (d & t9))))),
        ((t7 ^ (d & t24)) ^ (c & (t10 ^ (d & t4)))) ^ (a & ((t24 ^ (d & t14)) ^ (c & (t14 ^ (d & t9))))),
        ((t12 ^ (d & t23)) ^ (c & t19)) ^ (a & ((t15 ^ (d & t11)) ^ (c & (t18 ^ (d & t8))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s2([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = !c; let t1 = c & d; let t2 = e | t0; let t3 = d ^ t0; let t4 = !e; let t5 = d ^ t4;
    let t6 = d ^ t2; let t7 = t4 | t6; let t8 = t3 ^ t7; let t9 = t0 & t5; let t10 = d ^ t8; let t11 = t9 | t10;
    let t12 = t3 | t4; let t13 = e ^ t8; let t14 = t4 ^ t6; let t15 = t1 ^ e; let t16 = d ^ t12;
    let t17 = !t12; let t18 = t13 ^ t11; let t19 = t0 & t12; let t20 = t4 ^ t10; let t21 = t3 & e;
    let t22 = t21 ^ t0;
    [
        (t20 ^ f ^ (b & (t8 ^ (f & t0)))) ^ (a & ((t7 ^ (f & t21)) ^ (b & (t10 ^ (f & t20))))),
        ((t5 ^ (f & t19)) ^ (b & (t3 ^ (f & d)))) ^ (a & (!(b & (t17 ^ (f & t17))))),
        ((t11 ^ (f & t1)) ^ (b & (!(f & t13)))) ^ (a & ((t18 ^ (f & t15)) ^ (b & (t9 ^ (f & t16))))),
        ((t6 ^ (f & t10)) ^ (b & (t17 ^ (f & t12)))) ^ (a & ((t2 ^ (f & t22)) ^ (b & (t4 ^ (f & t14))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s3([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = b & f; let t1 = f ^ e; let t2 = b ^ f; let t3 = t1 & e; let t4 = !e;
    let t5 = b ^ t4; let t6 = t5 ^ t3; let t7 = !t6; let t8 = t3 | t2; let t9 = !t8; let t10 = e | t9;
    let t11 = t5 | t10; let t12 = t5 & t10; let t13 = e ^ t11; let t14 = t0 | t13; let t15 = t13 ^ t4;
    let t16 = t2 ^ t11; let t17 = t13 ^ f; let t18 = t5 ^ t17; let t19 = t17 ^ t0; let t20 = t2 ^ t19;
    let t21 = t12 & t20; let t22 = t21 ^ t4; let t23 = !t21;
    [
        ((t5 ^ (d & t8)) ^ (c & (t20 ^ (d & t6)))) ^ (a & ((t2 ^ (d & t9)) ^ (c & (t6 ^ (d & t6))))),
        ((t18 ^ (d & t23)) ^ (c & (t13 ^ (d & b)))) ^ (a & ((t11 ^ (d & t7)) ^ (c & (t15 ^ (d & t7))))),
        ((t19 ^ (d & t10)) ^ (c & (t23 ^ (d & t21)))) ^ (a & ((t16 ^ (d & t12)) ^ (c & (t3 ^ (d & t22))))),
        ((t2 ^ (d & t4)) ^ (c & e)) ^ (a & ((t17 ^ (d & t1)) ^ (c & (t14 ^ (d & t0))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s4([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = !e; let t1 = !c; let t2 = t1 ^ t0; let t3 = a | t2; let t4 = c ^ t3; let t5 = t2 ^ t4;
    let t6 = t1 ^ t3; let t7 = t2 & e; let t8 = t7 ^ a; let t9 = t8 | t7; let t10 = t0 ^ t9;
    let t11 = c ^ t10; let t12 = t8 ^ t11; let t13 = t6 | t12; let t14 = t5 ^ t12; let t15 = t8 ^ t13;
    let t16 = t1 ^ t13; let t17 = t14 ^ e; let t18 = t16 & t2; let t19 = t15 ^ t3; let t20 = t6 ^ t18;
    [
        ((t8 ^ (f & t12)) ^ (d & (t17 ^ (f & t14)))) ^ (b & ((t16 ^ (f & t13)) ^ (d & (t4 ^ (f & t2))))),
        ((t11 ^ (f & t18)) ^ (d & (e ^ (f & t14)))) ^ (b & ((t1 ^ (f & t13)) ^ (d & (t5 ^ (f & t2))))),
        ((t12 ^ (f & t6)) ^ (d & (t9 ^ (f & t10)))) ^ (b & ((t15 ^ (f & t19)) ^ (d & (t5 ^ (f & t2))))),
        ((t20 ^ (f & t4)) ^ (d & (t0 ^ (f & t10)))) ^ (b & ((t3 ^ (f & t19)) ^ (d & (t4 ^ (f & t2))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s5([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = d & e; let t1 = d ^ f; let t2 = t1 & f; let t3 = t1 & e; let t4 = t0 ^ t1;
    let t5 = e ^ t1; let t6 = t4 | f; let t7 = e ^ t6; let t8 = f & t7; let t9 = !t7; let t10 = t5 & t7;
    let t11 = t9 | t1; let t12 = t3 ^ t7; let t13 = t11 ^ d; let t14 = t8 ^ t6; let t15 = t10 ^ t14;
    let t16 = t2 ^ t13; let t17 = t0 ^ t16; let t18 = t10 ^ t16; let t19 = t15 ^ t4; let t20 = t19 ^ d;
    let t21 = t15 ^ t17; let t22 = t9 | t20; let t23 = t16 | d; let t24 = t22 ^ d; let t25 = e | t23;
    let t26 = t17 ^ t20; let t27 = t3 ^ t25; let t28 = t26 ^ t8;
    [
        ((t15 ^ (c & t6)) ^ (b & (t21 ^ (c & t8)))) ^ (a & ((t20 ^ (c & t24)) ^ (b & (t14 ^ (c & t1))))),
        ((t5 ^ (c & t25)) ^ (b & (d ^ (c & t2)))) ^ (a & ((t18 ^ (c & t0)) ^ (b & (t2 ^ (c & t26))))),
        ((t13 ^ (c & t7)) ^ (b & (t11 ^ (c & t19)))) ^ (a & ((t22 ^ (c & t9)) ^ (b & (t10 ^ (c & t28))))),
        ((t3 ^ (c & t23)) ^ (b & (t12 ^ (c & e)))) ^ (a & ((t4 ^ (c & t27)) ^ (b & (t16 ^ (c & t17))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s6([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = c | d; let t1 = c & d; let t2 = c | e; let t3 = !c; let t4 = d | t2;
    let t5 = !d; let t6 = d & t2; let t7 = !t6; let t8 = t3 & t7; let t9 = t6 & e; let t10 = t9 ^ t3;
    let t11 = t1 ^ t9; let t12 = t10 ^ d; let t13 = e ^ t7; let t14 = t10 ^ t13; let t15 = t13 & c;
    let t16 = t6 | t15; let t17 = t15 ^ t0; let t18 = t12 ^ t17; let t19 = !t9; let t20 = t8 ^ t15;
    let t21 = t3 ^ t18; let t22 = t21 ^ t0; let t23 = t22 ^ t13; let t24 = t23 & t19;
    [
        ((t13 ^ (f & t4)) ^ (b & (t3 ^ (f & t1)))) ^ (a & ((t2 ^ (f & t24)) ^ (b & (f & t22)))),
        (t23 ^ f ^ (b & (t5 ^ (f & t9)))) ^ (a & ((t8 ^ (f & t16)) ^ (b & (t16 ^ (f & t15))))),
        ((t17 ^ (f & t19)) ^ (b & (t16 ^ (f & e)))) ^ (a & ((t2 ^ (f & t18)) ^ (b & (t10 ^ (f & t21))))),
        ((t14 ^ (f & t6)) ^ (b & (t0 ^ (f & t11)))) ^ (a & ((t20 ^ (f & t7)) ^ (b & (f & t12)))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s7([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = d & f; let t1 = d ^ f; let t2 = f | e; let t3 = t0 & e; let t4 = e ^ f;
    let t5 = !t1; let t6 = t3 ^ t5; let t7 = t0 ^ t5; let t8 = t3 ^ t0; let t9 = t5 ^ t4; let t10 = t9 | e;
    let t11 = t7 ^ e; let t12 = !t10; let t13 = t10 ^ d; let t14 = t4 & t13; let t15 = t10 | t1;
    let t16 = t3 ^ t13; let t17 = t3 ^ t14; let t18 = t15 ^ f; let t19 = t2 ^ t18; let t20 = t7 ^ t19;
    let t21 = t20 & t18; let t22 = t21 | d; let t23 = t21 ^ t5; let t24 = e ^ t23; let t25 = f & t24;
    [
        ((t4 ^ (c & t16)) ^ (b & (d ^ (c & t7)))) ^ (a & ((t20 ^ (c & t14)) ^ (b & (t10 ^ (c & t11))))),
        ((t9 ^ (c & t3)) ^ (b & (t6 ^ c))) ^ (a & ((t5 ^ (c & t13)) ^ (b & (t15 ^ (c & t1))))),
        ((t22 ^ (c & t18)) ^ (b & (t16 ^ (c & t0)))) ^ (a & ((t2 ^ (c & t19)) ^ (b & (t12 ^ (c & t23))))),
        ((t17 ^ (c & t10)) ^ (b & (t15 ^ c))) ^ (a & ((t15 ^ (c & t8)) ^ (b & (t25 ^ (c & f))))),
    ]
}

#[rustfmt::skip] // Each gate on a line of its own would be six pages.
fn s8([a, b, c, d, e, f]: [Bits; 6]) -> [Bits; 4] {
    let t0 = c & d; let t1 = e | d; let t2 = t0 ^ t1; let t3 = c | e; let t4 = c ^ t3;
    let t5 = t2 ^ c; let t6 = t4 ^ t5; let t7 = e ^ c; let t8 = t0 ^ t6; let t9 = !t5; let t10 = d ^ t9;
    let t11 = t6 ^ t10; let t12 = t0 ^ t9; let t13 = e & t11; let t14 = t10 ^ t3; let t15 = t14 & t2;
    let t16 = t7 ^ t13; let t17 = t15 ^ t7; let t18 = t14 | t16; let t19 = t7 ^ t9; let t20 = t17 ^ t10;
    let t21 = t2 ^ t18; let t22 = t6 ^ t20; let t23 = t14 | e; let t24 = t23 ^ t11;
    [
        ((t22 ^ (f & t19)) ^ (b & (t2 ^ (f & t21)))) ^ (a & ((t14 ^ (f & t10)) ^ (b & (t0 ^ (f & t6))))),
        (t11 ^ f ^ (b & t12)) ^ (a & ((t17 ^ (f & t15)) ^ (b & (t5 ^ (f & t0))))),
        (t16 ^ (b & (!(f & t9)))) ^ (a & ((t20 ^ (f & t1)) ^ (b & (t4 ^ (f & t13))))),
        ((t12 ^ (f & t24)) ^ (b & (t18 ^ (f & t7)))) ^ (a & ((t3 ^ (f & t14)) ^ (b & (t8 ^ (f & t15))))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_compute_the_s_boxes() {
        for (gates, table) in GATES.iter().zip(&super::super::S) {
            for input in 0..64_usize {
                let bit = |i: usize| input >> (5 - i) & 1;
                let output = gates(std::array::from_fn(|i| Bits::all(bit(i) == 1)));
                // The outer two of the six bits choose the row.
                let expected = table[16 * (2 * bit(0) + bit(5)) + (input >> 1 & 15)];
                let expected = std::array::from_fn(|i| Bits::all(expected >> (3 - i) & 1 == 1));
                assert_eq!(output, expected, "{input}");
            }
        }
    }
}
