//! Pages as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;

use crate::db::Db;
use crate::error::Result;
use crate::model::RedisModel;
use crate::query::page::{self, Position, Request};

/// The first page is small, so that it comes in one round trip and early; the following ones are large.
const FIRST_PAGE: u64 = 100;
const PAGE: u64 = 1000;

/// The records of a query, one after the other, made by [`Query::stream`](crate::Query::stream).
///
/// Records come in pages: one of 100 and then some of 1,000, of which one is held at a time. Each page is read in one atomic step; a
/// record that changes between pages is delivered at most once in row order, and only if it still matches. An item is a
/// `Result`: a stored record that can't be read is an `Err`, after which the stream goes on; an error of the
/// connection ends it. Dropping the stream leaves nothing behind on the server.
#[must_use = "a stream does nothing until it is polled"]
pub struct RecordStream<M> {
    records: BoxStream<'static, Result<M>>,
}

impl<M> fmt::Debug for RecordStream<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").finish_non_exhaustive()
    }
}

impl<M: RedisModel> RecordStream<M> {
    pub(crate) fn new(db: Db, request: Request, limit: Option<u64>, offset: u64) -> Self {
        let records = async_stream::stream! {
            let mut left = limit.unwrap_or(u64::MAX);
            let (mut skip, mut from, mut size) = (offset, Position::default(), FIRST_PAGE);
            while left > 0 {
                let page = match page::records::<M>(&db, &request, left.min(size) as usize, skip, &from).await {
                    Ok(page) => page,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                for record in page.records {
                    left -= 1;
                    yield record;
                }
                let Some(next) = page.next else { return };
                (skip, from, size) = (0, next, PAGE);
            }
        };
        Self { records: Box::pin(records) }
    }
}

impl<M> Stream for RecordStream<M> {
    type Item = Result<M>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.records.as_mut().poll_next(cx)
    }
}
