//! What the recipes share.

use subconscious::testing::TestServer;
use subconscious::{Db, Result};

/// Opens the database that `REDIS_URL` names, or a private one, which lives as long as the server that comes with it.
///
/// # Errors
///
/// If there is none, or no server to start.
pub async fn open(namespace: &str) -> Result<(Db, Option<TestServer>)> {
    // The namespace keeps this program's keys apart from all others on your server.
    let builder = Db::builder().namespace(namespace);
    match std::env::var("REDIS_URL") {
        Ok(url) if !url.is_empty() => Ok((builder.open(&url).await?, None)),
        _ => {
            let server = TestServer::start().await?;
            Ok((builder.open(server.url()).await?, Some(server)))
        }
    }
}
