# Everything that a developer and the continuous integration call.

CARGO ?= cargo

.PHONY: build test lint peers bench instructions instructions-update

# What packages hold, in target/release. understudy-ocsp, which a core starts for each result, is made static.
build:
	$(CARGO) build --locked --release --workspace
	packaging/build-ocsp $(or $(CARGO_TARGET_DIR),target)/release/understudy-ocsp

# Installs the stock programs that the tests run against, and runs every test.
test: peers
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --no-fail-fast

# Formatting, lints and documentation; every warning is an error.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

# The stock nsca, send_nsca and Nagios 4, and valgrind, from Debian.
peers:
	tests/install-peers

# Measures against what Understudy replaces, side by side, and writes BENCHMARKS.md. Needs gcc and libmcrypt-dev. One row
# only: cargo run --release -p bench -- times --only receiver, after `make build`.
bench: peers build
	$(CARGO) run --locked --release -p bench -- times

# Fails when a hot path needs 10 % more instructions than recorded in bench/instructions.toml.
instructions: peers
	$(CARGO) run --locked --release -p bench -- instructions

# Records what the hot paths need now.
instructions-update: peers
	$(CARGO) run --locked --release -p bench -- instructions --update
