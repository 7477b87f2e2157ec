//! Sends the list of the newest pastes to each open page when it changes.
//!
//! One task asks the database for all pages: when this program has created a paste, and each second
//! for those of other instances. While no page is open, it asks nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use subconscious::Db;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::failure::Failure;
use crate::paste::{self, Entry, Listing, Paste};

const NEWEST: u64 = 10;
const EACH: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "newest.html")]
pub(crate) struct Newest {
    entries: Vec<Entry>,
}

impl Newest {
    pub(crate) async fn of(db: &Db) -> Result<Self, Failure> {
        let newest = Paste::listed(&Listing::default()).limit(NEWEST);
        Ok(Self { entries: paste::entries(newest, db).await?.items })
    }
}

#[derive(Clone)]
pub(crate) struct Live {
    /// All clones share this one receiver, so every other receiver is that of a page.
    newest: Arc<watch::Receiver<Vec<Entry>>>,
    changed: Arc<Notify>,
}

impl Live {
    /// Starts the task. To abort it ends the streams of all pages.
    pub(crate) fn start(db: Db) -> (Self, AbortHandle) {
        let (sender, newest) = watch::channel(Vec::new());
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(watch(db, sender, Arc::clone(&changed)));
        (Self { newest: Arc::new(newest), changed }, task.abort_handle())
    }

    /// To be called when the list may have changed.
    pub(crate) fn tell(&self) {
        self.changed.notify_one();
    }

    /// The list as it is now, and then after each change.
    pub(crate) async fn events(
        &self,
        db: &Db,
    ) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Failure> {
        // Subscribed before the list is read, so that no later change is missed.
        let changes = self.subscribe();
        let now = Newest::of(db).await?.entries;
        let changes = stream::unfold(changes, async |mut changes| {
            changes.changed().await.ok()?;
            let list = changes.borrow_and_update().clone();
            Some((list, changes))
        });
        let lists = stream::once(async { now }).chain(changes);
        let events = lists.map(|entries| Ok(Event::default().data(Newest { entries }.render().unwrap_or_default())));
        Ok(Sse::new(events).keep_alive(KeepAlive::default()))
    }

    fn subscribe(&self) -> watch::Receiver<Vec<Entry>> {
        let mut changes = watch::Receiver::clone(&self.newest);
        changes.mark_unchanged();
        changes
    }
}

async fn watch(db: Db, newest: watch::Sender<Vec<Entry>>, changed: Arc<Notify>) {
    loop {
        tokio::select! { () = changed.notified() => (), () = sleep(EACH) => () }
        if watchers(&newest) == 0 {
            continue;
        }
        // `Newest::of` logs a failure; the next attempt is in a second.
        if let Ok(Newest { entries: found }) = Newest::of(&db).await {
            newest.send_if_modified(|known| {
                let differs = *known != found;
                *known = found;
                differs
            });
        }
    }
}

fn watchers(newest: &watch::Sender<Vec<Entry>>) -> usize {
    newest.receiver_count().saturating_sub(1)
}

#[test]
fn only_pages_watch() {
    let (sender, newest) = watch::channel(Vec::new());
    let live = Live { newest: Arc::new(newest), changed: Arc::default() };
    let clones = vec![live.clone(); 3];
    assert_eq!(watchers(&sender), 0);
    let page = live.subscribe();
    assert_eq!(watchers(&sender), 1);
    drop((page, clones));
    assert_eq!(watchers(&sender), 0);
}
