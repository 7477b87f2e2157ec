//! A pastebin on Redis. `REDIS_URL` names the database; without it the program starts one of its own, which lives as long
//! as it does. `PASTEBIN_ADDR` is where it listens, by default 127.0.0.1:3000.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

mod pages;
#[cfg(test)]
mod tests;

const ADDRESS: &str = "127.0.0.1:3000";
/// How long requests that are under way may take when the program is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// The whole database schema.
#[derive(Debug, RedisModel)]
struct Paste {
    #[column(primary_key)]
    id: String,
    title: Option<String>,
    text: String,
    #[column(sort)]
    created_at: DateTime<Utc>,
}

const ID_LENGTH: usize = 12;

impl Paste {
    fn new(title: Option<String>, text: String) -> Self {
        // Nobody can guess 60 random bits. The letters are those that can't be taken for one another when read aloud.
        let random = Uuid::new_v4().as_u128();
        let letter = |at| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[(random >> (5 * at)) as usize & 31]);
        Self { id: (0..ID_LENGTH).map(letter).collect(), title, text, created_at: Utc::now() }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pastebin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let (db, server) = open().await?;
    let listener = listen().await?;
    // The address of the database stays unsaid, as it may hold a password.
    let database = if server.is_some() { "its own, which forgets all when it stops" } else { "that of REDIS_URL" };
    println!("pastebin: http://{}/ (database: {database}; Ctrl-C stops it)", listener.local_addr()?);

    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let signalled = async move {
        tokio::select! { _ = tokio::signal::ctrl_c() => (), _ = terminated.recv() => () }
        let _ = stopping.send(());
    };
    tokio::select! {
        served = axum::serve(listener, pages::router(db)).with_graceful_shutdown(signalled) => served?,
        // One client that never finishes its request must not keep the program.
        () = async { let _ = stopped.await; tokio::time::sleep(GRACE).await } => (),
    }
    Ok(())
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

async fn listen() -> io::Result<TcpListener> {
    let asked_for = std::env::var("PASTEBIN_ADDR").ok();
    let address = asked_for.as_deref().unwrap_or(ADDRESS);
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && asked_for.is_none() => {
            TcpListener::bind("127.0.0.1:0").await
        }
        bound => bound.map_err(|error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))),
    }
}
