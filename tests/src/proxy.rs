//! A proxy that loses replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes bytes on between clients and the server; told to cut, it lets the next request through and closes the connection
/// instead of passing on the reply.
pub struct Proxy {
    port: u16,
    cut: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Stands before the server at the address, which is one of TCP.
    pub async fn start(server: &str) -> Self {
        let server: u16 = server.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, counted) = (cut.clone(), cuts.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                // A reply would else wait for the acknowledgement of the one before.
                let _ = client.set_nodelay(true).and(upstream.set_nodelay(true));
                tokio::spawn(pass(client, upstream, told.clone(), counted.clone()));
            }
        });
        Self { port, cut, cuts, accepting }
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the next reply, and its connection with it.
    pub fn cut_the_next_reply(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// How many replies were lost.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.accepting.abort();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicBool>, cuts: Arc<AtomicUsize>) {
    let (mut request, mut reply) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => if server.write_all(&request[..length]).await.is_err() { return },
            },
            read = server.read(&mut reply) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    // The server has done what it was asked, as it has answered.
                    if cut.swap(false, Ordering::SeqCst) {
                        cuts.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    if client.write_all(&reply[..length]).await.is_err() { return }
                }
            },
        }
    }
}
