//! A port of ours, for what stands between clients and servers.

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A port that lets clients in until it is dropped or closed.
pub struct Door {
    /// The port.
    pub port: u16,
    accepting: JoinHandle<()>,
}

impl Door {
    /// Opens a free port of the loopback interface. Each client is met by a task of its own.
    pub async fn open<F>(meet: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // What is small would else wait for the acknowledgement of what was before.
                client.set_nodelay(true).unwrap();
                tokio::spawn(meet(client));
            }
        });
        Self { port, accepting }
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.accepting.abort();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

/// Connects to a server of this machine.
///
/// # Errors
///
/// If there is none.
pub async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    Ok(server)
}
