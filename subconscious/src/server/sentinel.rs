//! Asks sentinels for the address of a server.

use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, TlsMode};

use crate::error::{Error, Result};

/// Builds a client that asks the sentinels for a server, and connects to it. The host of the
/// server's address is the name by which the sentinels know the server. The rest of the address
/// says how to connect.
pub(super) fn builder(
    server: &ConnectionInfo,
    sentinels: &[ConnectionInfo],
    kind: SentinelServerType,
) -> Result<SentinelClientBuilder> {
    let (name, tls) = match server.addr() {
        ConnectionAddr::Tcp(name, _) => (name, None),
        ConnectionAddr::TcpTls { host, insecure: false, .. } => (host, Some(TlsMode::Secure)),
        ConnectionAddr::TcpTls { host, insecure: true, .. } => (host, Some(TlsMode::Insecure)),
        _ => {
            return Err(Error::configuration(
                "the address has no host. With sentinels, write the name by which they know the primary in its place",
            ));
        }
    };
    let (settings, theirs) = (server.redis_settings(), sentinels[0].redis_settings());
    let differs = |sentinel: &ConnectionInfo| {
        let settings = sentinel.redis_settings();
        (settings.username(), settings.password()) != (theirs.username(), theirs.password())
    };
    if sentinels.iter().any(differs) {
        return Err(Error::configuration(
            "the sentinels' addresses differ in user or password. Give all of them the same",
        ));
    }
    let addresses = sentinels.iter().map(|sentinel| sentinel.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, name, kind)?
        .set_client_to_redis_db(settings.db())
        .set_client_to_redis_protocol(settings.protocol())
        .set_client_to_redis_tcp_settings(server.tcp_settings().clone())
        .set_client_to_sentinel_tcp_settings(sentinels[0].tcp_settings().clone());
    if let Some(tls) = tls {
        builder = builder.set_client_to_redis_tls_mode(tls);
    }
    if let Some(user) = settings.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = theirs.username() {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = theirs.password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    Ok(builder)
}
