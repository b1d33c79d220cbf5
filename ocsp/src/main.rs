//! The program `understudy-ocsp`; see the library of this crate.

fn main() -> std::process::ExitCode {
    ocsp::main(std::env::args_os().skip(1))
}
