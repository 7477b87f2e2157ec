//! Many records: saved and deleted in pipelines.

use std::pin::{Pin, pin};

use futures::stream::{self, FuturesOrdered};
use futures::{Stream, StreamExt};
use redis::Cmd;

use crate::error::{Error, Result};
use crate::model::codec::RecordWriter;
use crate::model::target::{Address, Target};
use crate::scripts::{DELETE, SAVE_MANY};
use crate::server::Db;
use crate::write::call::Write;
use crate::write::record::{self, Saved, Saving, Verb};

/// Records in one pipeline.
const PIPELINE: usize = 500;
/// Pipelines at a time: the records of one pipeline are encoded while the server works on the
/// other.
const PIPELINES: usize = 2;
/// The most records that one call of save_many.lua saves. The call takes about 0.5 ms.
const GROUP: usize = 16;
/// The most arguments of such a call, unless a single record has more.
const ARGUMENTS: usize = 1000;
/// The most failures that a report lists if the number of records is not known in advance.
const KEPT: usize = 1000;

/// The outcome of [`RedisModel::save_many`](crate::RedisModel::save_many),
/// [`RedisModel::save_stream`](crate::RedisModel::save_stream) or
/// [`RedisModel::import`](crate::RedisModel::import).
#[derive(Debug, Default)]
#[must_use = "records that were not saved are named here, and nowhere else"]
#[non_exhaustive]
pub struct SaveReport {
    /// How many records were saved.
    pub saved: u64,
    /// How many records were not saved.
    pub failures: u64,
    /// The records that were not saved, in order: their positions, counted from 0, and the errors.
    /// `save_stream` and `import` list the first 1,000.
    pub failed: Vec<(usize, Error)>,
}

impl SaveReport {
    /// The number of saved records if all were saved, or the first error.
    ///
    /// # Errors
    ///
    /// The first error in `failed`.
    pub fn into_result(self) -> Result<u64> {
        match self.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.saved),
        }
    }
}

/// The outcome of [`RedisModel::delete_many`](crate::RedisModel::delete_many).
#[derive(Debug, Default)]
#[must_use = "records that were not deleted are named here, and nowhere else"]
#[non_exhaustive]
pub struct DeleteReport {
    /// How many records were deleted.
    pub deleted: u64,
    /// How many ids had no record.
    pub missing: u64,
    /// How many records could not be deleted.
    pub failures: u64,
    /// The records that could not be deleted, in order: the positions of their ids, counted from 0,
    /// and the errors. At most the first 1,000 are listed.
    pub failed: Vec<(usize, Error)>,
}

impl DeleteReport {
    /// The number of deleted records if none failed, or the first error.
    ///
    /// # Errors
    ///
    /// The first error in `failed`.
    pub fn into_result(self) -> Result<u64> {
        match self.failed.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.deleted),
        }
    }
}

/// Records that are saved together: an untyped view of a slice of a model's records.
pub(crate) trait Records: Send {
    fn len(&self) -> usize;
    fn encode(&self, at: usize) -> Result<RecordWriter>;
    /// Copies what Redis assigned into a record that was saved.
    fn assign(&mut self, at: usize, saved: Saved) -> Result<()>;
}

/// The calls that save the records with these numbers, each with the numbers of its records.
fn groups(target: &Target, verb: Verb, savings: &[Saving], numbers: &[usize]) -> Vec<(Vec<usize>, Cmd)> {
    let schema = target.schema;
    let mut calls = Vec::with_capacity(numbers.len() / GROUP + 1);
    let mut left = numbers;
    while !left.is_empty() {
        let (mut size, mut arguments) = (0, 0);
        while size < left.len() {
            let more = savings[left[size]].arguments(schema);
            if size > 0 && (size == GROUP || arguments + more > ARGUMENTS) {
                break;
            }
            arguments += more;
            size += 1;
        }
        let (group, rest) = left.split_at(size);
        let records = group.iter().map(|&number| &savings[number]);
        let bytes = records.clone().map(|saving| saving.bytes(schema)).sum::<usize>() + record::model_bytes(target);
        let keys = records.clone().map(|saving| saving.write.key.as_slice());
        let mut command = SAVE_MANY.call_on(keys, arguments + record::model_arguments(schema), bytes);
        let mut before = record::push_model(target, verb, &mut command);
        for saving in records {
            saving.push(schema, &mut command, before);
            before += saving.arguments(schema);
        }
        calls.push((group.to_vec(), command));
        left = rest;
    }
    calls
}

/// Saves one pipeline of records, and returns the outcome of each.
async fn save_pipeline(
    db: &Db,
    target: &Target,
    verb: Verb,
    records: Vec<Result<RecordWriter>>,
) -> Result<Vec<Result<Saved>>> {
    let mut savings = Vec::with_capacity(records.len());
    let refused: Vec<Option<Error>> = records
        .into_iter()
        .map(|record| {
            let saving = record.and_then(|record| Saving::new(record, target, verb));
            saving.map(|saving| savings.push(saving)).err()
        })
        .collect();
    let writes: Vec<&Write> = savings.iter().map(|saving| &saving.write).collect();
    let check = |target: &Target, number: usize| savings[number].check(target);
    let groups = |target: &Target, numbers: &[usize]| groups(target, verb, &savings, numbers);
    let replies = target.run_groups(db, &SAVE_MANY, &writes, check, groups).await?;
    let mut saved = savings.into_iter().zip(replies);
    let outcomes = refused.into_iter().map(|refused| match refused {
        Some(error) => Err(error),
        None => match saved.next() {
            Some((saving, values)) => Saved::new(target, saving.write.key, values?),
            None => Err(target.unexpected(&"fewer replies than records")),
        },
    });
    Ok(outcomes.collect())
}

impl SaveReport {
    fn add(&mut self, outcome: Result<()>, kept: usize) {
        let position = self.saved + self.failures;
        match outcome {
            Ok(()) => self.saved += 1,
            Err(error) => {
                self.failures += 1;
                if self.failed.len() < kept {
                    self.failed.push((position as usize, error));
                }
            }
        }
    }
}

pub(crate) async fn save_many(db: &Db, target: &Target, records: &mut dyn Records) -> Result<SaveReport> {
    let mut report = SaveReport::default();
    let (mut sent, mut answered) = (0, 0);
    let mut running = FuturesOrdered::new();
    loop {
        while running.len() < PIPELINES && sent < records.len() {
            let end = records.len().min(sent + PIPELINE);
            let encoded = (sent..end).map(|at| records.encode(at)).collect();
            running.push_back(save_pipeline(db, target, Verb::Save, encoded));
            sent = end;
        }
        let Some(outcomes) = running.next().await else { return Ok(report) };
        for saved in outcomes? {
            report.add(saved.and_then(|saved| records.assign(answered, saved)), usize::MAX);
            answered += 1;
        }
    }
}

/// Values that Redis assigns to the records are not returned.
pub(crate) async fn save_stream(
    db: &Db,
    target: &Target,
    verb: Verb,
    records: Pin<&mut (dyn Stream<Item = Result<RecordWriter>> + Send)>,
    progress: &mut (dyn FnMut(&SaveReport) + Send),
) -> Result<SaveReport> {
    let mut report = SaveReport::default();
    let pipelines =
        records.chunks(PIPELINE).map(|records| save_pipeline(db, target, verb, records)).buffered(PIPELINES);
    let mut pipelines = pin!(pipelines);
    while let Some(outcomes) = pipelines.next().await {
        for saved in outcomes? {
            report.add(saved.map(drop), KEPT);
        }
        progress(&report);
    }
    Ok(report)
}

pub(crate) async fn delete_many(
    db: &Db,
    target: &Target,
    addresses: &mut (dyn Iterator<Item = Result<Address>> + Send),
) -> Result<DeleteReport> {
    let mut report = DeleteReport::default();
    let pipelines = stream::iter(addresses)
        .chunks(PIPELINE)
        .map(|addresses| async move {
            let mut keys = Vec::with_capacity(addresses.len());
            let mut outcomes = Vec::with_capacity(addresses.len());
            for address in addresses {
                outcomes.push(address.map(|address| keys.push(address.key)));
            }
            let call = |target: &Target, number: usize| Ok(record::delete_call(target, &keys[number], &[], None, &[]));
            let mut replies = target.run_many(db, &DELETE, keys.len(), call).await?.into_iter();
            let outcomes = outcomes.into_iter().map(|outcome| {
                outcome?;
                replies.next().unwrap_or_else(|| Ok(Vec::new())).map(|values| record::deleted(&values))
            });
            Ok::<Vec<Result<bool>>, Error>(outcomes.collect())
        })
        .buffered(PIPELINES);
    let mut pipelines = pin!(pipelines);
    let mut position = 0;
    while let Some(outcomes) = pipelines.next().await {
        for outcome in outcomes? {
            match outcome {
                Ok(true) => report.deleted += 1,
                Ok(false) => report.missing += 1,
                Err(error) => {
                    report.failures += 1;
                    if report.failed.len() < KEPT {
                        report.failed.push((position, error));
                    }
                }
            }
            position += 1;
        }
    }
    Ok(report)
}
