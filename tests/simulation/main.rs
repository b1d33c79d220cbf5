//! A sender and a receiver over a network, disks and clocks that fail: everything that was delivered is injected, in order.
//!
//! Everything that decides is the real thing: `sender::sealed::Exchange` on a `Spool`, `receiver::sealed::Session` with
//! `Peers` and the journal's `Ledger`, the sealed session between them. Network, disks, time and processes are simulated, so
//! that thousands of runs take seconds and each can be repeated by its seed:
//!
//! ```text
//! SEED=1234 cargo test --test simulation
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod master;
mod random;
mod standby;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Summary, World};

/// How many runs there are.
const SEEDS: u64 = 3_000;

#[test]
fn what_was_delivered_is_injected_in_order_whatever_fails() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => seed.parse().map(|seed| seed..seed + 1).unwrap(),
        Err(_) => 0..SEEDS,
    };
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Summary::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
                        Ok(summary) => total.lock().unwrap().add(&summary),
                        Err(failure) => {
                            eprintln!("SEED={seed}");
                            std::panic::resume_unwind(failure);
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    println!("{total:?}");
    if seeds.end - seeds.start > 1 {
        total.assert_that_everything_was_tried();
    }
}
