//! A pastebin on Redis. `REDIS_URL` names the database; without it the program starts one of its own, which lives as long
//! as it does. `PASTEBIN_ADDR` is where it listens, by default 127.0.0.1:3000.

use std::error::Error;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use serve::Limits;

mod callers;
mod pages;
mod serve;
#[cfg(test)]
mod tests;

const ADDRESS: &str = "127.0.0.1:3000";

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
    let asked_for = std::env::var("PASTEBIN_ADDR").ok();
    let listener = serve::listen(asked_for.as_deref().unwrap_or(ADDRESS), asked_for.is_none()).await?;
    // The address of the database stays unsaid, as it may hold a password.
    let database = if server.is_some() { "its own, which forgets all when it stops" } else { "that of REDIS_URL" };
    println!("pastebin: http://{}/ (database: {database}; Ctrl-C stops it)", listener.local_addr()?);

    let stopped = async move {
        tokio::select! { _ = tokio::signal::ctrl_c() => (), _ = terminated.recv() => () }
    };
    serve::serve(listener, pages::router(db), Limits::default(), stopped).await;
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
