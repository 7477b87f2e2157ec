//! Pages as a stream.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::query::page::{Batch, Position};

/// The first page is small, so that it comes in one round trip and early; the following ones are large.
const FIRST_PAGE: u64 = 100;
pub(crate) const PAGE: u64 = 1000;

/// What a query delivers, one after the other: records, made by [`Query::stream`](crate::Query::stream), or ids, made by
/// [`Query::ids`](crate::Query::ids).
///
/// Records come in pages: one of 100 and then some of 1,000, of which one is held at a time. Each page is read in one atomic step; a
/// record that changes between pages is delivered at most once in row order, and only if it still matches. An item is a
/// `Result`: a stored record that can't be read is an `Err`, after which the stream goes on; an error of the
/// connection ends it. Dropping the stream leaves nothing behind on the server.
#[must_use = "a stream does nothing until it is polled"]
pub struct RecordStream<T> {
    items: BoxStream<'static, Result<T>>,
}

impl<T> fmt::Debug for RecordStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> RecordStream<T> {
    /// A stream of at most `limit` items, after leaving out `skip` from the position on; `read` reads some of them.
    pub(crate) fn new<F, B>(limit: Option<u64>, skip: u64, from: Result<Position>, read: F) -> Self
    where
        F: Fn(usize, u64, Position) -> B + Send + 'static,
        B: Future<Output = Result<Batch<T>>> + Send,
    {
        let items = async_stream::stream! {
            let mut from = match from {
                Ok(from) => from,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            let (mut left, mut skip, mut size) = (limit.unwrap_or(u64::MAX), skip, FIRST_PAGE);
            while left > 0 {
                let batch = match read(left.min(size) as usize, skip, from).await {
                    Ok(batch) => batch,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                for item in batch.items {
                    left -= 1;
                    yield item;
                }
                let Some(next) = batch.next else { return };
                (skip, from, size) = (0, next, PAGE);
            }
        };
        Self { items: Box::pin(items) }
    }
}

impl<T> Stream for RecordStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(cx)
    }
}
