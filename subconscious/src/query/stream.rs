//! The pages of a query as a stream.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures::future::{Fuse, FusedFuture, FutureExt};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use crate::error::Result;
use crate::query::exec::{Delivery, Execution};
use crate::trace::Operation;

/// The first page is small, so that it takes one round trip and arrives early. The following pages
/// are large.
pub(crate) const FIRST_PAGE: u64 = 100;
pub(crate) const PAGE: u64 = 1_000;

/// The records or ids that a query delivers, one after the other.
/// [`Query::stream`](crate::Query::stream) makes a stream of records,
/// [`Query::ids`](crate::Query::ids) one of ids.
///
/// Records come in pages: the first has up to 100, each further one up to 1,000. The second page is
/// requested when half of the first has been used, each further page while the page before it is
/// used. No more than two pages are held.
///
/// A record that changes meanwhile is delivered at most once, and only if it matched at some moment
/// since the stream began. It may be missed if the column that orders the query changes. A record
/// that is deleted and saved again is another record.
///
/// Each item is a `Result`. A stored record that can't be read is an `Err`, after which the stream
/// continues. An error of the connection ends the stream. Dropping the stream leaves nothing behind
/// on the server.
#[must_use = "a stream does nothing until it is polled"]
pub struct RecordStream<T> {
    items: BoxStream<'static, Result<T>>,
    operation: Operation,
}

impl<T> fmt::Debug for RecordStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> RecordStream<T> {
    /// A stream of at most `limit` items.
    pub(crate) fn new(
        limit: Option<u64>,
        execution: Result<Execution>,
        delivery: Delivery<T>,
        operation: Operation,
    ) -> Self {
        let items = async_stream::stream! {
            let execution = match execution {
                Ok(execution) => execution,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            let Delivery { columns, decode } = delivery;
            let read = async |mut execution: Execution, rows: u64, left: u64| {
                let hits = execution.next(rows as usize, left, columns.as_deref()).await;
                (execution, hits)
            };
            let mut left = limit.unwrap_or(u64::MAX);
            if left == 0 {
                return;
            }
            let mut batch = read(execution, left.min(FIRST_PAGE), left).await;
            let mut first = true;
            loop {
                let (execution, hits) = batch;
                let hits = match hits {
                    Ok(hits) => hits,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                let mut execution = Some(execution).filter(|execution| execution.position().is_some());
                // The reader may want only half of the first page. Every later page is requested
                // while the page before it is decoded.
                let begin = if first { hits.len() / 2 } else { 0 };
                // Records that are wanted after this page, if none of its records is gone.
                let more = left - hits.len() as u64;
                let mut ahead = pin!(Fuse::terminated());
                let mut ready = None;
                first = false;
                for (at, hit) in hits.into_iter().enumerate() {
                    if at == begin && more > 0 && let Some(execution) = execution.take() {
                        ahead.set(read(execution, more.min(PAGE), more).fuse());
                    }
                    if at >= begin && at % 8 == 0 && let Poll::Ready(batch) = futures::poll!(&mut ahead) {
                        ready = Some(batch);
                    }
                    if let Some(item) = decode(hit).transpose() {
                        left -= 1;
                        yield item;
                    }
                }
                batch = match (ready, execution) {
                    (Some(batch), _) => batch,
                    // The page was empty, or some of its records were gone.
                    (None, Some(execution)) if left > 0 => read(execution, left.min(PAGE), left).await,
                    (None, _) if ahead.is_terminated() => return,
                    (None, _) => ahead.await,
                };
            }
        };
        Self { items: Box::pin(items), operation }
    }
}

impl<T> RecordStream<T> {
    /// The next item; `None` at the end. It is [`futures::StreamExt::next`] without that trait.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no item is lost.
    pub async fn next(&mut self) -> Option<Result<T>> {
        StreamExt::next(self).await
    }

    /// The next item; `Ok(None)` at the end.
    ///
    /// # Errors
    ///
    /// The error of an item that is one. The stream continues after a record that can't be read.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no item is lost.
    pub async fn try_next(&mut self) -> Result<Option<T>> {
        self.next().await.transpose()
    }
}

impl<T> Stream for RecordStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { items, operation } = &mut *self;
        let item = operation.poll(|| items.as_mut().poll_next(cx));
        if let Poll::Ready(Some(item)) = &item {
            operation.note(item, |_| 1);
        }
        item
    }
}
