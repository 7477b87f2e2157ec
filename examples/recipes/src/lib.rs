//! What the recipes share.

use subconscious::testing::TestServer;
use subconscious::{Db, Result};

/// Opens the database of `REDIS_URL`, or a private one, which is gone when the server that is
/// returned with it is dropped.
///
/// # Errors
///
/// If the database does not answer, or no server can be started.
pub async fn open(namespace: &str) -> Result<(Db, Option<TestServer>)> {
    // The namespace separates the keys of this program from others on your server.
    let builder = Db::builder().namespace(namespace);
    match std::env::var("REDIS_URL") {
        Ok(url) if !url.is_empty() => Ok((builder.open(&url).await?, None)),
        _ => {
            let server = TestServer::start().await?;
            Ok((builder.open(server.url()).await?, Some(server)))
        }
    }
}
