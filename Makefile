# Everything that a developer and the continuous integration call.

CARGO ?= cargo

.PHONY: build test lint peers

build:
	$(CARGO) build --locked --release --workspace

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

# The stock nsca, send_nsca and Nagios 4, from Debian.
peers:
	tests/install-peers
