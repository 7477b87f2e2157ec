//! The pages, as a browser gets them. On `REDIS_URL` if it is set, in a namespace of their own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::TimeDelta;
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;
use uuid::Uuid;

use crate::Paste;
use crate::callers::PASTES;
use crate::pages::{TEXT_LIMIT, router};
use crate::serve::{self, Limits};

struct Site {
    pages: Router,
    db: Db,
    /// Only held: dropping it ends the server.
    server: Option<TestServer>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Site {
    async fn new() -> Self {
        let (url, server) = match std::env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => (url, None),
            _ => {
                let server = TestServer::start().await.unwrap();
                (server.url().to_owned(), Some(server))
            }
        };
        let namespace = format!("pastebin-test-{}", Uuid::new_v4());
        let db = Db::builder().namespace(namespace).retries(0).open(&url).await.unwrap();
        Self { pages: router(db.clone()), db, server }
    }

    /// Serves the pages at a port, until the site is dropped.
    async fn serve(&self, limits: Limits) -> SocketAddr {
        let listener = serve::listen("127.0.0.1:0", false).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve::serve(listener, self.pages.clone(), limits, std::future::pending()));
        address
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.pages.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, form: String) -> Answer {
        self.post_from([127, 0, 0, 1].into(), form).await
    }

    async fn post_from(&self, address: IpAddr, form: String) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        let caller = ConnectInfo(SocketAddr::from((address, 1)));
        let request = Request::post("/").header(header::CONTENT_TYPE, kind).extension(caller);
        self.send(request.body(form.into()).unwrap()).await
    }

    /// Pastes, and returns the address of the paste.
    async fn paste(&self, title: &str, text: &str) -> String {
        let answer = self.post(format!("title={}&text={}", encoded(title), encoded(text))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        answer.headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// Leaves no records on a server that others use.
    async fn close(self) {
        for paste in Paste::all().fetch(&self.db).await.unwrap() {
            paste.delete(&self.db).await.unwrap();
        }
    }
}

/// As a form sends it.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn what_is_pasted_is_shown_and_sent_raw() {
    let site = Site::new().await;
    let text = "\nfn main() {\r\n\tprintln!(\"Grüezi 🦀\");\r\n}\n";
    let kept = text.replace("\r\n", "\n");
    let address = site.paste(" A title ", text).await;

    let page = site.get(&address).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("<h1>A title</h1>"), "{}", page.body);
    assert!(page.body.contains("println!(&#34;Grüezi 🦀&#34;);"), "{}", page.body);
    assert!(page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));

    let raw = site.get(&format!("/raw{address}")).await;
    assert_eq!((raw.status, raw.body), (StatusCode::OK, kept));
    assert_eq!(raw.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(raw.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    site.close().await;
}

#[tokio::test]
async fn the_five_newest_are_listed_newest_first() {
    let site = Site::new().await;
    assert!(site.get("/").await.body.contains("Nothing yet"));
    for number in 1..=7 {
        site.paste(&format!("number {number}"), "text").await;
    }
    // Saved last, but not the newest.
    let mut old = Paste::new(Some("number 0".into()), "text".into());
    old.created_at -= TimeDelta::days(1);
    old.save(&site.db).await.unwrap();

    let body = site.get("/").await.body;
    let listed: Vec<&str> = body.split("number ").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(listed, ["7", "6", "5", "4", "3"]);
    site.close().await;
}

#[tokio::test]
async fn a_script_is_text() {
    let site = Site::new().await;
    let script = "</textarea></pre><script>alert('x')</script>";
    let address = site.paste(script, script).await;
    let refused = site.post(format!("title={0}{0}{0}&text={0}", encoded(script))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for body in [site.get(&address).await.body, site.get("/").await.body, refused.body] {
        assert!(!body.contains("<script") && body.contains("&#60;script&#62;"), "{body}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_paste_without_a_title_is_headed_by_the_beginning_of_its_text() {
    let site = Site::new().await;
    let address = site.paste("", &format!("\n \n  {}", "x".repeat(1_000))).await;
    let body = site.get(&address).await.body;
    assert!(body.contains(&format!("<h1>{}</h1>", "x".repeat(120))), "{body}");
    site.close().await;
}

#[tokio::test]
async fn an_unknown_address_has_a_page_that_says_so() {
    let site = Site::new().await;
    let long = format!("/{}", "a".repeat(2_000));
    for path in ["/nothinghere1", "/raw/nothinghere1", "/short", "/a/b/c", "/raw/", "/%FF%00", &long] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body.contains("There is no paste at this address."), "{}", answer.body);
    }
    site.close().await;
}

#[tokio::test]
async fn an_empty_paste_is_refused_and_the_form_keeps_what_was_typed() {
    let site = Site::new().await;
    for form in ["title=Kept&text=", "title=Kept&text=+%0D%0A%09", "title=Kept"] {
        let answer = site.post(form.to_owned()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains("There is nothing to paste yet"), "{}", answer.body);
        assert!(answer.body.contains("value=\"Kept\""), "{}", answer.body);
    }
    assert_eq!(Paste::all().count(&site.db).await.unwrap(), 0);
    site.close().await;
}

#[tokio::test]
async fn a_paste_up_to_the_limit_is_kept_and_a_longer_one_refused() {
    let site = Site::new().await;
    // What takes the most room in a form.
    let most = "\r\n".repeat(TEXT_LIMIT - 1) + "x";
    let address = site.paste("", &most).await;
    assert_eq!(site.get(&format!("/raw{address}")).await.body.len(), TEXT_LIMIT);
    assert_eq!(site.get(&address).await.status, StatusCode::OK);

    let answer = site.post(format!("text={}", "x".repeat(TEXT_LIMIT + 1))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.body.contains("it has 256.1 KiB, and a paste can have 256 KiB."), "{}", &answer.body[..2_000]);
    assert!(answer.body.contains("\nxxx"), "the form keeps the text");

    let answer = site.post(format!("text={}", "x".repeat(40 * TEXT_LIMIT))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.body.contains("a paste can have 256 KiB"), "{}", answer.body);
    assert_eq!(Paste::all().count(&site.db).await.unwrap(), 1);
    site.close().await;
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let site = Site::new().await;
    let caller = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
    let answer = site.send(Request::post("/").extension(caller).body("text=x".into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.body.contains("That was no paste"), "{}", answer.body);
    site.close().await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_without_details() {
    let mut site = Site::new().await;
    // The server of `REDIS_URL` is not ours to stop.
    let Some(server) = site.server.take() else { return };
    let address = site.paste("", "text").await;
    server.stop().await;
    for path in ["/", address.as_str()] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body.contains("Out of order") && !answer.body.contains("subc-"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_database_that_refuses_is_as_one_that_is_gone() {
    let full = TestServer::builder().arg("--maxmemory", "1").start().await.unwrap();
    let db = Db::open(full.url()).await.unwrap();
    let answer = Site { pages: router(db.clone()), db, server: Some(full) }.post("text=x".to_owned()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("Out of order") && !answer.body.contains("maxmemory"), "{}", answer.body);
}

#[tokio::test]
async fn an_address_that_pastes_too_fast_is_slowed_down_and_others_are_not() {
    let site = Site::new().await;
    let answers = futures::future::join_all((0..3 * PASTES).map(|_| site.post("text=x".to_owned()))).await;
    let pasted = answers.iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count();
    // A new minute may have begun meanwhile.
    assert!((PASTES..=2 * PASTES).contains(&(pasted as u32)), "{pasted}");
    let refused = answers.iter().find(|answer| answer.status != StatusCode::SEE_OTHER).unwrap();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.body.contains("You paste too fast"), "{}", refused.body);
    for address in ["127.0.0.2", "2001:db8::1", "2001:db8:0:1::1"] {
        let answer = site.post_from(address.parse().unwrap(), "text=x".to_owned()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
    site.close().await;
}

/// All that the server says before it ends the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn clients_that_are_slow_or_silent_are_left() {
    let site = Site::new().await;
    let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
    let address = site.serve(limits).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-").await.unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (silent, slow, idle) = tokio::join!(rest(silent), rest(slow), rest(idle));
    assert_eq!(silent, "");
    assert!(!slow.contains("200 OK"), "{slow}");
    assert!(idle.starts_with("HTTP/1.1 200 OK"), "{idle}");

    let lasting = site.serve(Limits { connection: Duration::from_millis(100), ..Limits::default() }).await;
    let mut trickle = TcpStream::connect(lasting).await.unwrap();
    trickle.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx").await.unwrap();
    assert_eq!(rest(trickle).await, "");
    site.close().await;
}

#[tokio::test]
async fn of_too_many_clients_some_wait() {
    let site = Site::new().await;
    let address = site.serve(Limits { connections: 2, ..Limits::default() }).await;
    let ask = async |close: bool| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let close = if close { "Connection: close\r\n" } else { "" };
        stream.write_all(format!("GET /style.css HTTP/1.1\r\nHost: x\r\n{close}\r\n").as_bytes()).await.unwrap();
        stream
    };
    let mut first = ask(false).await;
    let mut second = ask(false).await;
    let mut byte = [0; 1];
    first.read_exact(&mut byte).await.unwrap();
    second.read_exact(&mut byte).await.unwrap();
    let mut third = ask(true).await;
    let waited = tokio::time::timeout(Duration::from_millis(100), third.read_exact(&mut byte)).await;
    assert!(waited.is_err(), "two are being served");
    drop(first);
    assert!(rest(third).await.contains("200 OK"));
    site.close().await;
}

#[tokio::test]
async fn a_body_without_an_end_is_left() {
    let site = Site::new().await;
    let address = site.serve(Limits::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let mut sent = 0;
    while stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 200 * 1024 * 1024, "the server reads on for ever");
    }
    site.close().await;
}
