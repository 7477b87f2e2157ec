//! The pages, as a browser gets them. On `REDIS_URL` if it is set, in a namespace of their own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::TimeDelta;
use serde_json::{Value, json};
use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;
use uuid::Uuid;

use crate::callers::PASTES;
use crate::draft::TEXT_LIMIT;
use crate::live::Live;
use crate::paste::{Expiry, Language, Paste};
use crate::serve::{self, Limits};
use crate::{App, site};

mod browser;

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
        Self::on(db, server)
    }

    fn on(db: Db, server: Option<TestServer>) -> Self {
        // Ends with the test.
        let (live, _) = Live::start(db.clone());
        Self { pages: site::router(App { db: db.clone(), live }), db, server }
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
        self.submit("/", address, form).await
    }

    async fn submit(&self, path: &str, address: IpAddr, form: String) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        let caller = ConnectInfo(SocketAddr::from((address, 1)));
        let request = Request::post(path).header(header::CONTENT_TYPE, kind).extension(caller);
        self.send(request.body(form.into()).unwrap()).await
    }

    /// A request of the JSON API: its status, and its body if it has one.
    async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let caller = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
        let request = Request::builder().method(method).uri(path).extension(caller);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into());
        let answer = self.send(request.unwrap()).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
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
async fn the_ten_newest_are_listed_newest_first() {
    let site = Site::new().await;
    assert!(site.get("/").await.body.contains("No pastes yet"));
    for number in 11..=22 {
        site.paste(&format!("number {number}"), "text").await;
    }
    // Saved last, but not the newest.
    let mut old = Paste::new("number 10", "text".into());
    old.created_at -= TimeDelta::days(1);
    old.save(&site.db).await.unwrap();

    let body = site.get("/").await.body;
    let listed: Vec<&str> = body.split("number ").skip(1).map(|rest| &rest[..2]).collect();
    assert_eq!(listed, ["22", "21", "20", "19", "18", "17", "16", "15", "14", "13"]);
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
        assert!(!body.contains("<script>") && body.contains("&#60;script&#62;"), "{body}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_text_in_colours_is_the_same_text() {
    let site = Site::new().await;
    let text = "/* <script>\n over lines */\nfn main() { let x = \"</pre>&amp;\"; }\n";
    for language in ["rust", "html", "php", "markdown"] {
        let form = format!("text={}&language={language}", encoded(text));
        let address = site.post(form).await.headers[header::LOCATION].to_str().unwrap().to_owned();
        // Made, and then kept.
        for _ in 0..2 {
            let body = site.get(&address).await.body;
            let shown = body.split("<pre").nth(1).unwrap().split_once(">\n").unwrap().1.split("</pre>").next().unwrap();
            assert_eq!(shown.matches("<i></i>").count(), 3, "{shown}");
            assert!(shown.contains("<b class="), "{shown}");
            let bare: String =
                shown.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
            let entities = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
            let bare = entities.iter().fold(bare, |text, (entity, character)| text.replace(entity, character));
            assert_eq!(bare, text, "{language}");
        }
    }
    site.close().await;
}

#[tokio::test]
async fn a_paste_is_burnt_by_its_first_reader() {
    let site = Site::new().await;
    let answer = site.post("text=the+secret&burn=true".to_owned()).await;
    let address = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
    // Not by what looks at it only.
    for path in ["/".to_owned(), "/pastes".to_owned(), address.clone(), format!("/raw{address}")] {
        assert!(!site.get(&path).await.body.contains("the secret"), "{path}");
    }
    let burn = format!("{address}/burn");
    let readers = (0..8).map(|_| site.submit(&burn, [127, 0, 0, 1].into(), String::new()));
    let read: Vec<Answer> = futures::future::join_all(readers).await;
    let shown = read.iter().filter(|answer| answer.body.contains("the secret")).count();
    let told = read.iter().filter(|answer| answer.status == StatusCode::NOT_FOUND).count();
    assert_eq!((shown, told), (1, 7));
    assert_eq!(site.get(&address).await.status, StatusCode::NOT_FOUND);

    let kept = site.paste("", "for all").await;
    let answer = site.submit(&format!("{kept}/burn"), [127, 0, 0, 1].into(), String::new()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(site.get(&kept).await.body.contains("for all"));
    site.close().await;
}

#[tokio::test]
async fn an_unlisted_paste_is_only_at_its_address() {
    let site = Site::new().await;
    let answer = site.post("text=whisper&unlisted=true&language=rust&author=Me".to_owned()).await;
    let address = answer.headers[header::LOCATION].to_str().unwrap();
    assert!(site.get(address).await.body.contains("whisper"));
    for path in ["/", "/pastes", "/pastes?language=rust", "/pastes?author=Me", "/api/pastes", "/api/languages"] {
        let body = site.get(path).await.body;
        assert!(!body.contains("whisper") && !body.contains(address) && !body.contains("\"rust\",\"count"), "{body}");
    }
    site.close().await;
}

#[tokio::test]
async fn a_paste_is_deleted_by_its_key_alone() {
    let site = Site::new().await;
    let answer = site.post("text=x&language=rust".to_owned()).await;
    let address = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    let key = cookie.strip_prefix("key=").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.contains(&format!("Path={address};")) && cookie.contains("HttpOnly"), "{cookie}");
    assert!(!site.get(&address).await.body.contains(&key), "shown to others");
    let with_cookie = Request::get(&address).header(header::COOKIE, format!("a=b; key={key}")).body(Body::empty());
    assert!(site.send(with_cookie.unwrap()).await.body.contains(&key));

    let delete = format!("{address}/delete");
    for wrong in ["key=", "key=0", "key=%00"] {
        let answer = site.submit(&delete, [127, 0, 0, 1].into(), wrong.to_owned()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    let answer = site.submit(&delete, [127, 0, 0, 1].into(), format!("key=+{key}+")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(site.get(&address).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/pastes").await.body.matches(&address).count(), 0);
    site.close().await;
}

#[tokio::test]
async fn an_expired_paste_is_in_no_list_and_no_count() {
    let site = Site::new().await;
    let mut gone = Paste::new("gone", "text".into());
    gone.expires_at = Some(gone.created_at + TimeDelta::milliseconds(50));
    gone.save(&site.db).await.unwrap();
    let stays = site.post("text=stays&expires=10m".to_owned()).await;
    let address = stays.headers[header::LOCATION].to_str().unwrap();
    while site.get(&format!("/{}", gone.id)).await.status == StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let body = site.get("/pastes").await.body;
    assert!(!body.contains("gone") && body.contains("stays") && body.contains("1 paste,"), "{body}");
    assert!(site.get(address).await.body.contains("in 9 minutes"));
    let lives =
        Expiry::ALL.map(|(expiry, ..)| expiry.after(gone.created_at).map(|end| (end - gone.created_at).num_minutes()));
    assert_eq!(lives, [None, Some(10), Some(60), Some(24 * 60)]);
    site.close().await;
}

#[tokio::test]
async fn lists_are_of_a_language_and_an_author_page_by_page() {
    let site = Site::new().await;
    let mut expected = Vec::new();
    for number in 0..100 {
        let mut paste = Paste::new(&format!("n{number:02}"), "x".into());
        paste.language = if number % 2 == 0 { Language::Rust } else { Language::Python };
        paste.author = (number % 3 > 0).then(|| if number % 3 == 1 { "Ada & Bob".into() } else { "<i>".into() });
        paste.created_at += TimeDelta::seconds(number);
        paste.insert(&site.db).await.unwrap();
        if number % 2 == 0 && number % 3 == 1 {
            expected.insert(0, paste.title);
        }
    }
    let of = "language=rust&author=Ada+%26+Bob";
    let first = site.get(&format!("/pastes?{of}")).await.body;
    let titles = |body: &str| -> Vec<String> {
        body.split("class=\"heading\">").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    };
    assert!(first.contains(&format!("{} pastes in Rust by Ada &#38; Bob", expected.len())), "{first}");
    assert!(first.contains("Python <b>17</b>") && first.contains("&#60;i&#62; <b>17</b>"), "{first}");
    assert_eq!(titles(&first), expected);

    let mut path = "/pastes?language=python".to_owned();
    let mut seen = Vec::new();
    loop {
        let body = site.get(&path).await.body;
        seen.extend(titles(&body));
        let Some(rest) = body.split("rel=\"next\" href=\"").nth(1) else { break };
        path = rest.split('"').next().unwrap().replace("&#38;", "&");
    }
    let odd: Vec<String> = (0..50).rev().map(|half| format!("n{:02}", 2 * half + 1)).collect();
    assert_eq!(seen, odd);

    // Refused: a cursor of another list, a text that is no cursor, an unknown language.
    let other = path.replace("python", "rust");
    for path in [other.as_str(), "/pastes?after=x", "/pastes?language=klingon"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
    site.close().await;
}

#[tokio::test]
async fn the_api_has_the_same_verbs() {
    let site = Site::new().await;
    let draft = json!({"text": "fn f() {}\r\n", "title": "T", "author": "A", "language": "rust", "expires": "1h"});
    let (status, made) = site.call("POST", "/api/pastes", draft).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/api/pastes/{}", made["id"].as_str().unwrap());
    let (status, found) = site.call("GET", &path, Value::Null).await;
    assert_eq!((status, &found["text"], &found["language"]), (StatusCode::OK, &json!("fn f() {}\r\n"), &json!("rust")));
    assert!(found.get("delete_key").is_none(), "{found}");
    let (_, list) = site.call("GET", "/api/pastes?language=rust&author=A", Value::Null).await;
    assert_eq!((&list["pastes"][0]["id"], &list["next"]), (&made["id"], &Value::Null));
    let (_, groups) = site.call("GET", "/api/languages", Value::Null).await;
    assert_eq!(groups, json!([{"language": "rust", "count": 1}]));

    let (_, secret) = site.call("POST", "/api/pastes", json!({"text": "once", "burn": true})).await;
    let burnt = format!("/api/pastes/{}", secret["id"].as_str().unwrap());
    let (_, seen) = site.call("GET", &burnt, Value::Null).await;
    assert_eq!((seen.get("text"), &seen["burn"]), (None, &json!(true)));
    let (_, read) = site.call("POST", &format!("{burnt}/burn"), Value::Null).await;
    assert_eq!(read["text"], "once");
    assert_eq!(site.call("GET", &burnt, Value::Null).await.0, StatusCode::NOT_FOUND);

    for (draft, wanted) in [
        (json!({"text": ""}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"text": "x", "language": "klingon"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"text": "x", "colour": "red"}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({"text": "x".repeat(TEXT_LIMIT + 1)}), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (status, told) = site.call("POST", "/api/pastes", draft).await;
        assert_eq!(status, wanted);
        assert!(told["error"].is_string(), "{told}");
    }
    let (status, told) = site.call("DELETE", &path, Value::Null).await;
    assert_eq!((status, told["error"].is_string()), (StatusCode::FORBIDDEN, true));
    let key = format!("Bearer {}", made["delete_key"].as_str().unwrap());
    let request = Request::delete(&path).header(header::AUTHORIZATION, key).body(Body::empty()).unwrap();
    assert_eq!(site.send(request).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.call("GET", &path, Value::Null).await.0, StatusCode::NOT_FOUND);
    site.close().await;
}

#[tokio::test]
async fn who_watches_is_sent_the_newest_at_once() {
    let site = Site::new().await;
    let address = site.serve(Limits::default()).await;
    let mut watcher = TcpStream::connect(address).await.unwrap();
    watcher.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = String::new();
    let mut wait_for = async |wanted: &str| {
        while !said.contains(wanted) {
            let mut some = [0; 4096];
            let length = watcher.read(&mut some).await.unwrap();
            assert!(length > 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&some[..length]));
        }
    };
    wait_for("text/event-stream").await;
    site.paste("first <b>", "x").await;
    wait_for("first &#60;b&#62;").await;
    site.paste("second", "x").await;
    wait_for("second").await;
    // Another instance of the program made it.
    Paste::new("third", "x".into()).insert(&site.db).await.unwrap();
    wait_for("third").await;
    site.close().await;
}

#[tokio::test]
async fn who_watches_does_not_keep_the_program() {
    let site = Site::new().await;
    let (live, watching) = Live::start(site.db.clone());
    let pages = site::router(App { db: site.db.clone(), live });
    let listener = serve::listen("127.0.0.1:0", false).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stopped = async move {
        let _ = stopped.await;
        watching.abort();
    };
    // Longer than the test waits.
    let limits = Limits { grace: Duration::from_secs(3600), ..Limits::default() };
    let program = tokio::spawn(serve::serve(listener, pages, limits, stopped));
    let mut watcher = TcpStream::connect(address).await.unwrap();
    watcher.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    watcher.read_exact(&mut [0; 15]).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), program).await.expect("it ends").unwrap();
    site.close().await;
}

#[tokio::test]
async fn health_is_that_of_the_database() {
    let mut site = Site::new().await;
    assert_eq!(site.get("/healthz").await.body, "ok\n");
    let Some(server) = site.server.take() else { return };
    server.stop().await;
    assert_eq!(site.get("/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
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
    assert!(answer.body.contains("Paste not accepted"), "{}", answer.body);
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
        assert!(answer.body.contains("Not available") && !answer.body.contains("subc-"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_database_that_refuses_is_as_one_that_is_gone() {
    let full = TestServer::builder().arg("--maxmemory", "1").start().await.unwrap();
    let db = Db::open(full.url()).await.unwrap();
    let answer = Site::on(db, Some(full)).post("text=x".to_owned()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("Not available") && !answer.body.contains("maxmemory"), "{}", answer.body);
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
    assert!(refused.body.contains("Too many pastes"), "{}", refused.body);
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
