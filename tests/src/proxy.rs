//! A proxy that loses replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use subconscious::testing::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::door::{Door, connect};

/// Passes bytes on between clients and the server; told to cut, it lets the next request through
/// and closes the connection instead of passing on the reply.
pub struct Proxy {
    door: Door,
    cut: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Stands before the server, which is one of TCP.
    pub async fn start(server: &TestServer) -> Self {
        let port = server.port().unwrap();
        let (cut, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, counted) = (cut.clone(), cuts.clone());
        let door = Door::open(move |client| pass(client, port, told.clone(), counted.clone())).await;
        Self { door, cut, cuts }
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.door.port
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.door.port)
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
        self.door.close();
    }
}

async fn pass(mut client: TcpStream, port: u16, cut: Arc<AtomicBool>, cuts: Arc<AtomicUsize>) {
    let Ok(mut server) = connect(port).await else { return };
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
