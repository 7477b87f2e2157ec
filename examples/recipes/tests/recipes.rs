//! Runs each recipe, on a server of its own, and reads what it prints.

// All of this is test code, which may panic.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn run(binary: &str) -> String {
    let output = Command::new(binary).env_remove("REDIS_URL").output().unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    said.into_owned()
}

fn assert_says(binary: &str, lines: &[&str]) {
    let said = run(binary);
    let mut rest = said.lines();
    for line in lines {
        assert!(rest.any(|other| other == *line), "{line:?} is not, or not in this order, in:\n{said}");
    }
}

#[test]
fn sessions() {
    assert_says(
        env!("CARGO_BIN_EXE_sessions"),
        &[
            "requests of the phone: Some(1)",
            "it lives for 60 minutes more",
            "user 7 on phone-1: 1 requests",
            "user 7 on laptop-1: 0 requests",
            "sessions of user 7 now: 1",
            "ended: 2",
        ],
    );
}

#[test]
fn jobs() {
    let lines = ["job 1 waits: send letter 1", "done: 30 by anna, ben and carl", "Done: 30", "forgotten: 30"];
    assert_says(env!("CARGO_BIN_EXE_jobs"), &lines);
}

#[test]
fn leaderboard() {
    assert_says(
        env!("CARGO_BIN_EXE_leaderboard"),
        &[
            "player 42 has 920 points",
            "north: player 100 with 1000",
            "north: player 98 with 980",
            "north: player 96 with 960",
            "my place: 9",
            "page 1 ends with Some(\"player 62\")",
            "page 2 ends with Some(\"player 21\")",
            "page 3 ends with Some(\"player 1\")",
        ],
    );
}

#[test]
fn inventory() {
    assert_says(
        env!("CARGO_BIN_EXE_inventory"),
        &[
            "lamps sold: 5",
            "handle with care: [\"lamp\", \"vase\"]",
            "no lights: 2",
            "shelf 1: 2",
            "shelf 2: 2",
            "sold out: 4",
        ],
    );
}

#[test]
fn web() {
    assert_says(
        env!("CARGO_BIN_EXE_web"),
        &[
            "POST /accounts: 201 Created, tag \"1\"",
            "POST /accounts: 409 Conflict, tag none",
            "GET /accounts/1: 200 OK, tag \"1\"",
            "PUT /accounts/1: 200 OK, tag \"2\"",
            "PUT /accounts/1: 412 Precondition Failed, tag none",
            "GET /accounts/2: 404 Not Found, tag none",
        ],
    );
}

#[test]
fn import() {
    let lines = ["imported 100000 of 100000 rows", "equal: 100000", "the next id: 299999", "customers in CH: 25000"];
    assert_says(env!("CARGO_BIN_EXE_import"), &lines);
}
