//! The newest pastes, sent to each open page as they come.
//!
//! One task asks the database for all pages at once: when a paste was made here, and each second for those that other
//! instances of the program made. While nobody watches, it asks nothing.

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
    newest: watch::Receiver<Vec<Entry>>,
    changed: Arc<Notify>,
}

impl Live {
    /// Watches until it is aborted, which ends the streams of all pages.
    pub(crate) fn start(db: Db) -> (Self, AbortHandle) {
        let (sender, newest) = watch::channel(Vec::new());
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(watch(db, sender, Arc::clone(&changed)));
        (Self { newest, changed }, task.abort_handle())
    }

    /// There is another paste.
    pub(crate) fn tell(&self) {
        self.changed.notify_one();
    }

    /// The list as it was known last, and again each time it changes.
    pub(crate) fn events(&self) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let mut newest = self.newest.clone();
        newest.mark_changed();
        self.changed.notify_one();
        let lists = stream::unfold(newest, async |mut newest| {
            newest.changed().await.ok()?;
            let list = newest.borrow_and_update().clone();
            Some((list, newest))
        });
        let events = lists.map(|entries| Ok(Event::default().data(Newest { entries }.render().unwrap_or_default())));
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}

async fn watch(db: Db, newest: watch::Sender<Vec<Entry>>, changed: Arc<Notify>) {
    loop {
        tokio::select! { () = changed.notified() => (), () = sleep(EACH) => () }
        // One is that of the program itself.
        if newest.receiver_count() <= 1 {
            continue;
        }
        // A failure is told of there; the next attempt may go better.
        if let Ok(Newest { entries: found }) = Newest::of(&db).await {
            newest.send_if_modified(|known| {
                let differs = *known != found;
                *known = found;
                differs
            });
        }
    }
}
