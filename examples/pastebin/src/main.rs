//! A pastebin on Redis.
//!
//! - `REDIS_URL` is the database. Without it, the program starts a server of its own and stops it
//!   at the end.
//! - `PASTEBIN_ADDR` is where it listens. Without it, that is 127.0.0.1:3000, or a free port if
//!   that one is taken.
//! - `RUST_LOG` is what it logs, by default `info`: as text to a terminal, else as JSON.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use subconscious::Db;
use subconscious::testing::TestServer;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use live::Live;
use serve::Limits;

mod api;
mod callers;
mod draft;
mod failure;
mod highlight;
mod layers;
mod live;
mod pages;
mod paste;
mod serve;
mod site;
#[cfg(test)]
mod tests;
mod view;

const ADDRESS: &str = "127.0.0.1:3000";

/// What all handlers share.
#[derive(Clone)]
struct App {
    db: Db,
    live: Live,
}

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let (db, server) = open().await?;
    let asked_for = std::env::var("PASTEBIN_ADDR").ok();
    let listener = serve::listen(asked_for.as_deref().unwrap_or(ADDRESS), asked_for.is_none()).await?;
    // The address of the database is not printed, as it may have a password.
    let database = if server.is_some() { "a private one, gone when this program stops" } else { "REDIS_URL" };
    println!("pastebin: http://{}/ (database: {database}; stop with Ctrl-C)", listener.local_addr()?);

    let (live, watching) = Live::start(db.clone());
    let stopped = async move {
        tokio::select! { _ = tokio::signal::ctrl_c() => (), _ = terminated.recv() => () }
        // Otherwise pages with the live list would keep their connections open.
        watching.abort();
    };
    serve::serve(listener, site::router(App { db, live }), Limits::default(), stopped).await;
    Ok(())
}

fn log() {
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(level).with_writer(io::stderr);
    if io::stderr().is_terminal() { log.init() } else { log.json().flatten_event(true).init() }
}

async fn open() -> Result<(Db, Option<TestServer>), Box<dyn Error>> {
    match std::env::var("REDIS_URL") {
        Ok(url) if !url.is_empty() => {
            let db = Db::open(&url).await.map_err(|error| format!("REDIS_URL: {error}"))?;
            Ok((db, None))
        }
        _ => {
            let server = TestServer::start().await?;
            Ok((Db::open(server.url()).await?, Some(server)))
        }
    }
}
