//! `understudy-ocsp` and the hand-over format that it shares with the sender.
