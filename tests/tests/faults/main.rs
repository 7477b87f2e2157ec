//! What must hold when clients, servers and connections fail.
//!
//! Each test runs a short form. `cargo xtask faults` runs the long one; `FAULT_ROUNDS` says how
//! long, `FAULT_SEED` with which random numbers.

// Helpers of tests are tests, too.
#![allow(clippy::unwrap_used)]

mod chaos;
mod churn;
mod clock;
mod cluster;
mod deployment;
mod histories;
mod hostile;
mod kills;
mod network;
mod restarts;
mod sentinel;
mod work;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use subconscious::testing::{TestServer, TestServerBuilder};
use subconscious_tests::Fixture;

/// Waits until the server has done all that it was sent, and no more than so many clients are
/// connected.
async fn settled(f: &Fixture, clients: usize) {
    loop {
        let list: String = f.run(redis::cmd("CLIENT").arg("LIST")).await;
        // One that is blocked, or whose request was not read.
        let busy =
            |line: &str| line.contains(" flags=b ") || !line.contains(" qbuf=0 ") && !line.contains("cmd=client");
        if list.lines().count() <= clients && !list.lines().any(busy) {
            return;
        }
    }
}

/// A server that a shell script starts, from a file in the folder. `$server` is the program, `$@`
/// are its arguments.
fn scripted(folder: &Path, script: &str) -> TestServerBuilder {
    let (server, file) = (TestServer::find_binary().unwrap(), folder.join("server"));
    fs::write(&file, format!("#!/bin/sh\nserver='{}'\n{script}\n", server.display())).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
    TestServer::builder().binary(&file)
}

/// How often a fault is repeated: so many times as usual, or by `FAULT_ROUNDS` more.
fn rounds(usual: u64) -> u64 {
    usual * std::env::var("FAULT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Whether to go on after so many rounds: there are as many as usual, and some more where a busy
/// machine kept a fault from meeting anything.
fn goes_on(round: u64, usual: u64, met: bool) -> bool {
    assert!(round < rounds(usual) + 100, "the faults met nothing");
    round < rounds(usual) || !met
}

/// Where the random numbers of a run begin: others each time, or those of `FAULT_SEED`. A failure
/// says which.
fn seed() -> u64 {
    let given = std::env::var("FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(7, |time| time.as_micros() as u64));
    println!("FAULT_SEED={seed}");
    seed
}

/// Random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}
