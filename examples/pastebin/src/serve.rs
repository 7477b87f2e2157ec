//! Serves the pages, with limits for clients that are slow, silent or too many.
//!
//! `axum::serve` has none: a client that sends a byte a minute keeps its connection for ever.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

pub(crate) struct Limits {
    /// Clients that are served at the same time. Others wait to be accepted.
    pub(crate) connections: usize,
    /// How long the head of each request may take.
    pub(crate) head: Duration,
    /// How long a connection may last, whatever it does.
    pub(crate) connection: Duration,
    /// How long running requests may take when the program stops.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            head: Duration::from_secs(10),
            connection: Duration::from_secs(300),
            grace: Duration::from_secs(3),
        }
    }
}

/// Serves until `stopped`.
pub(crate) async fn serve(listener: TcpListener, pages: Router, limits: Limits, stopped: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let connections = GracefulShutdown::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stopped => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, for example. It passes.
                tracing::error!(error = %error, "a client can't be served");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // An answer does not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let pages = pages.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            let pages = pages.clone();
            async move { Ok::<_, Infallible>(pages.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // An error here is a client that left or broke the protocol.
            let _ = timeout(limits.connection, connection).await;
            drop(place);
        });
    }
    drop(listener);
    // A client that never finishes its request must not keep the program running.
    let _ = timeout(limits.grace, connections.shutdown()).await;
}

/// Listens on an address; on a free port where `or_any` and the port is taken.
pub(crate) async fn listen(address: &str, or_any: bool) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && or_any => TcpListener::bind("127.0.0.1:0").await,
        bound => bound.map_err(|error| io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))),
    }
}
