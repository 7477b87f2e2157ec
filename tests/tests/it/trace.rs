//! What subscribers of `tracing` are told.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use subconscious::testing::TestServer;
use subconscious::{Db, RedisModel};
use subconscious_tests::{Fixture, server_url, with_protocol};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Visitor {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    page: String,
    #[column(sort)]
    at: i64,
}

fn visitor(id: u32) -> Visitor {
    Visitor { id, page: format!("p{}", id % 2), at: i64::from(id) }
}

async fn save(visitors: impl IntoIterator<Item = Visitor>, db: &Db) {
    let mut visitors: Vec<_> = visitors.into_iter().collect();
    Visitor::save_many(db, &mut visitors).await.unwrap().into_result().unwrap();
}

type Fields = BTreeMap<&'static str, String>;

struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// Keeps the spans that have ended, and the events.
#[derive(Clone, Default)]
struct Ears(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    open: BTreeMap<u64, Fields>,
    last: u64,
    spans: Vec<Fields>,
    events: Vec<(Level, Fields)>,
}

impl Ears {
    fn spans(&self) -> Vec<Fields> {
        std::mem::take(&mut self.0.lock().unwrap().spans)
    }

    fn events(&self) -> Vec<(Level, Fields)> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }
}

impl Subscriber for Ears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "subconscious"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut heard = self.0.lock().unwrap();
        heard.last += 1;
        let mut fields = Fields::new();
        span.record(&mut Read(&mut fields));
        let number = heard.last;
        heard.open.insert(number, fields);
        Id::from_u64(number)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        values.record(&mut Read(self.0.lock().unwrap().open.get_mut(&span.into_u64()).unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Read(&mut fields));
        self.0.lock().unwrap().events.push((*event.metadata().level(), fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, span: Id) -> bool {
        let mut heard = self.0.lock().unwrap();
        let span = heard.open.remove(&span.into_u64()).unwrap();
        heard.spans.push(span);
        true
    }
}

#[tokio::test]
async fn each_operation_is_a_span_with_its_rows_and_round_trips() {
    let server = TestServer::start().await.unwrap();
    let f = Fixture::on(server.url()).await;
    let db = &f.db;
    // A script that the server does not know takes a second round trip.
    visitor(0).save(db).await.unwrap();
    save([visitor(0)], db).await;
    Visitor::patch(db, 0u32, |v| [v.at.incr(0)]).await.unwrap();
    Visitor::delete_by_id(db, 99u32).await.unwrap();
    assert!(Visitor::all().first(db).await.unwrap().is_some());
    assert_eq!(Visitor::all().count(db).await.unwrap(), 1);
    let ears = Ears::default();
    let _listening = tracing::subscriber::set_default(ears.clone());
    // The operation, the rows and the round trips of the one span there is now.
    let told = || {
        let spans = ears.spans();
        let [span] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!((&*span["db.collection.name"], &*span["db.system.name"]), ("Visitor", "redis"));
        let number = |name| span[name].parse::<u64>().unwrap();
        (span["db.operation.name"].clone(), number("db.response.returned_rows"), number("round_trips"))
    };
    let is = |name: &str, rows, round_trips| (name.to_owned(), rows, round_trips);

    visitor(1).save(db).await.unwrap();
    assert_eq!(told(), is("save", 1, 1));
    visitor(2).insert(db).await.unwrap();
    assert_eq!(told(), is("insert", 1, 1));
    visitor(2).insert(db).await.unwrap_err();
    assert_eq!(told(), is("insert", 0, 1));
    save((3..20).map(visitor), db).await;
    assert_eq!(told(), is("save_many", 17, 1));
    Visitor::load(db, 1u32).await.unwrap();
    assert_eq!(told(), is("load", 1, 1));
    Visitor::load_many(db, [1u32, 99]).await.unwrap();
    assert_eq!(told(), is("load_many", 2, 1));
    Visitor::patch(db, 1u32, |v| [v.at.incr(1)]).await.unwrap();
    assert_eq!(told(), is("patch", 1, 1));
    assert!(Visitor::delete_by_id(db, 99u32).await.is_ok_and(|deleted| !deleted));
    assert_eq!(told(), is("delete_by_id", 0, 1));
    assert_eq!(Visitor::all().count(db).await.unwrap(), 20);
    assert_eq!(told(), is("count", 20, 1));
    Visitor::filter_by(|v| v.page.eq("p1")).fetch(db).await.unwrap();
    assert_eq!(told(), is("fetch", 10, 1));
    Visitor::filter_by(|v| v.page.eq("p1")).order_by(|v| v.at.desc()).first(db).await.unwrap();
    assert_eq!(told(), is("first", 1, 1));
    Visitor::all().limit(7).page(db).await.unwrap();
    assert_eq!(told(), is("page", 7, 1));
    Visitor::all().select(|v| (v.id, v.at)).fetch(db).await.unwrap();
    assert_eq!(told(), is("fetch", 20, 1));
    Visitor::all().max(db, |v| v.at).await.unwrap();
    assert_eq!(told(), is("max", 1, 1));
    Visitor::filter_by(|v| v.page.eq("p1")).delete(db).await.unwrap();
    assert_eq!(told(), is("delete", 10, 2));

    // A stream is told of when it ends or is dropped.
    let mut stream = Visitor::all().ids(db);
    stream.try_next().await.unwrap();
    stream.try_next().await.unwrap();
    assert_eq!(ears.spans(), []);
    drop(stream);
    assert_eq!(told(), is("ids", 2, 1));

    let refused = Visitor::filter_by(|v| v.page.eq("x".repeat(100_000))).fetch(db).await;
    assert!(refused.is_err());
    assert_eq!(told(), is("fetch", 0, 0));

    let failed: Vec<_> = ears.events().into_iter().filter(|(_, event)| event["message"] == "failed").collect();
    let [(Level::DEBUG, event), (Level::DEBUG, of_stream)] = &failed[..] else { panic!("{failed:#?}") };
    assert!(event["error"].contains("exists"), "{event:?}");
    assert!(of_stream["error"].contains("page"), "{of_stream:?}");
}

#[tokio::test]
async fn a_slow_query_is_told_of_with_how_it_was_answered() {
    let f = Fixture::new().await;
    save((0..50).map(visitor), &f.db).await;
    let builder = Db::builder().namespace(f.db.namespace());
    let open = async |slow| builder.clone().slow_query(slow).open(&with_protocol(server_url().await)).await.unwrap();
    let (patient, hasty) = (open(Duration::from_secs(600)).await, open(Duration::ZERO).await);
    let ears = Ears::default();
    let _listening = tracing::subscriber::set_default(ears.clone());
    let query =
        Visitor::filter_by(|v| v.page.eq("p1") & (v.at.gt(5) | !v.page.eq("p0"))).order_by(|v| v.at.desc()).limit(4);
    for db in [&patient, &hasty] {
        query.fetch(db).await.unwrap();
        query.count(db).await.unwrap();
    }
    let mut events = ears.events();
    events.retain(|(level, _)| *level == Level::WARN);
    let [(_, fetch), (_, count)] = &events[..] else { panic!("{events:#?}") };
    assert_eq!(fetch["message"], "slow query");
    assert_eq!((&*fetch["verb"], &*count["verb"]), ("fetch", "count"));
    assert_eq!(fetch["filter"], "(page = \"p1\" and (at > \"5\" or not (page = \"p0\")))");
    assert_eq!((&*fetch["order"], &*fetch["limit"], &*fetch["rows"]), ("at desc", "4", "4"));
    assert_eq!(fetch["steps"], "walk along the order, 1 call");
    assert_eq!((&*fetch["model"], &*fetch["round_trips"], &*count["rows"]), ("Visitor", "1", "4"));
}
