//! The pages, asked for over a real connection.

use std::sync::atomic::{AtomicU32, Ordering};

use subconscious::Db;
use subconscious::testing::TestServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A pastebin with a database of its own.
struct Site {
    address: std::net::SocketAddr,
    _server: Option<TestServer>,
}

impl Site {
    async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let namespace = format!("pastebin-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let given = std::env::var("REDIS_URL").ok();
        let server = if given.is_none() { Some(TestServer::start().await.unwrap()) } else { None };
        let url = given.unwrap_or_else(|| server.as_ref().unwrap().url().to_owned());
        let db = Db::builder().namespace(namespace).open(&url).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, super::router(db)).await });
        Self { address, _server: server }
    }

    /// Status line and headers, and the body.
    async fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The other side may answer and close before it has read a body that is too long.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn paste(&self, title: &str, text: &str) -> (String, String) {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let body = format!("title={}&text={}", escaped(title), escaped(text));
        self.ask(&format!(
            "POST /paste HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }
}

fn location(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{head}"))
}

#[tokio::test]
async fn a_paste_is_read_as_a_page_and_as_text_and_never_as_markup() {
    let site = Site::start().await;
    let text = "\n<script>alert('x')</script>\n\tümlaut & \"quotes\"";
    let (head, _) = site.paste("<b>title</b>", text).await;
    assert!(head.starts_with("HTTP/1.1 303"), "{head}");
    let path = location(&head);
    let (head, body) = site.get(path).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/html; charset=utf-8"), "{head}");
    assert!(!body.contains("<script") && !body.contains("<b>"), "{body}");
    assert!(body.contains("&#60;script&#62;alert(&#39;x&#39;)") && body.contains("ümlaut"), "{body}");
    let (head, body) = site.get(&format!("/raw{path}")).await;
    assert!(head.contains("content-type: text/plain; charset=utf-8") && head.contains("nosniff"), "{head}");
    assert_eq!(body, text);
}

#[tokio::test]
async fn the_home_page_has_the_five_newest_pastes_newest_first() {
    let site = Site::start().await;
    assert!(site.get("/").await.1.contains("Nothing yet"));
    for number in 1..=7 {
        site.paste(&format!("paste {number}."), "text").await;
    }
    let home = site.get("/").await.1;
    let found: Vec<u32> =
        home.split("paste ").skip(1).filter_map(|rest| rest.split_once('.')?.0.parse().ok()).collect();
    assert_eq!(found, [7, 6, 5, 4, 3]);
}

#[tokio::test]
async fn what_is_not_there_is_a_404_page() {
    let site = Site::start().await;
    for path in ["/nothing", "/raw/000000000000", "/000000000000", "/a/b/c"] {
        let (head, body) = site.get(path).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert!(body.contains("There is no such paste"), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_paste_that_is_empty_or_too_long_says_so_and_keeps_what_was_typed() {
    let site = Site::start().await;
    let (head, body) = site.paste("kept title", " \n").await;
    assert!(head.starts_with("HTTP/1.1 422"), "{head}");
    assert!(body.contains("There is no text to paste") && body.contains("kept title"), "{body}");
    let (head, body) = site.paste("", &"x".repeat(super::LONGEST + 1)).await;
    assert!(head.starts_with("HTTP/1.1 413") && body.contains("at most 256 KiB"), "{head}");
    let (head, body) = site.paste("", &"x".repeat(4 * super::LONGEST)).await;
    assert!(head.starts_with("HTTP/1.1 413") && body.contains("at most 256 KiB"), "{head}");
    assert!(site.paste("", &"x".repeat(super::LONGEST)).await.0.starts_with("HTTP/1.1 303"));
}
