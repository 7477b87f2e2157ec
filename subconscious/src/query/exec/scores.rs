//! Tests rows by the scores of `sort` columns, which are kept by row: see `model/keys.rs`.
//!
//! A part is 8,184 rows, and a segment has 32 of them. The zone of a part, its least and its
//! greatest score, often says that all or none of its rows are in a range. The scores of the other
//! parts are read and compared here: the server takes some 12 microseconds to answer 64 KB, and a
//! comparison takes a nanosecond. Zone maps are from Moerkotte, *Small Materialized Aggregates*
//! (VLDB 1998).

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use redis::{Pipeline, Value};

use crate::error::Result;
use crate::model::layout::{PART, PARTS, SCORE, SEGMENT, ZONE, ZONES};
use crate::model::schema::ModelSchema;
use crate::model::target::Target;
use crate::query::exec::rows::Rows;
use crate::query::plan::{Leaf, Node};
use crate::server::Db;
use crate::value::{Kind, SortKey};

/// Bytes of a bitmap that have the rows of a part.
const BYTES: usize = PART as usize / 8;

/// Up to this number of rows of a part, the score of each row is read. Of more rows, the whole part
/// is read.
const FEW: u32 = 32;

/// Pipelines that are under way at a time, so that the server answers one while this program
/// compares the scores of another.
const AHEAD: usize = 4;

/// A range of a column, by scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ScoreRange {
    column: usize,
    /// The least and the greatest score of which all values are in the range.
    sure: (f64, f64),
    /// The least and the greatest score of which some value may be in the range. These are the same
    /// two, or the bounds of the range, where several values share a score.
    possible: (f64, f64),
}

/// What a bound says of the values that share its score.
enum Tie {
    In,
    Out,
    /// The values differ in their tails.
    Undecided,
}

impl ScoreRange {
    /// The range of a leaf; `None` if it is no range of numbers.
    pub(super) fn of(schema: &ModelSchema, leaf: &Leaf) -> Option<Self> {
        let &Leaf::Range { column, ref low, ref high } = leaf else { return None };
        let kind = schema.columns()[column].kind;
        if !kind.has_scores() {
            return None;
        }
        let (mut sure, mut possible) = ((f64::NEG_INFINITY, f64::INFINITY), (f64::NEG_INFINITY, f64::INFINITY));
        if let Some(low) = low {
            let (score, tie) = (low.double(), tie(kind, low, true));
            sure.0 = if matches!(tie, Tie::In) { score } else { next(score, f64::next_up) };
            possible.0 = if matches!(tie, Tie::Out) { sure.0 } else { score };
        }
        if let Some(high) = high {
            let (score, tie) = (high.double(), tie(kind, high, false));
            sure.1 = if matches!(tie, Tie::In) { score } else { next(score, f64::next_down) };
            possible.1 = if matches!(tie, Tie::Out) { sure.1 } else { score };
        }
        Some(Self { column, sure, possible })
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Whether all values are in the range, and whether some may be.
    pub(super) fn has(&self, score: f64) -> (bool, bool) {
        let within = |(least, greatest): (f64, f64)| least <= score && score <= greatest;
        (within(self.sure), within(self.possible))
    }

    /// Whether all or none of the scores between these two are in the range, if one is so.
    fn decides(&self, zone: Zone) -> Option<bool> {
        if self.has(zone.least).0 && self.has(zone.greatest).0 {
            Some(true)
        } else if zone.greatest < self.possible.0 || self.possible.1 < zone.least {
            Some(false)
        } else {
            None
        }
    }
}

/// The next score in a direction. After infinity, it is NaN: no score is within such a bound.
fn next(score: f64, step: fn(f64) -> f64) -> f64 {
    Some(step(score)).filter(|next| *next != score).unwrap_or(f64::NAN)
}

/// The ranges by scores that are ANDed in a filter, and whether these are all of its ranges.
pub(super) fn ranges(schema: &ModelSchema, filter: &Node) -> (Vec<ScoreRange>, bool) {
    let all = filter.leaves().into_iter().filter(|leaf| matches!(leaf, Leaf::Range { .. })).count();
    let leaf = |node: &Node| if let Node::Leaf(leaf) = node { ScoreRange::of(schema, leaf) } else { None };
    let ranges: Vec<ScoreRange> = filter.parts().iter().filter_map(leaf).collect();
    let complete = ranges.len() == all;
    (ranges, complete)
}

/// What the bound of a range, the lower or the upper one, says of the values that have its score.
/// The lower bound is in the range, the upper one is not.
fn tie(kind: Kind, bound: &SortKey, lower: bool) -> Tie {
    // Then members are the row alone, which is after an empty tail, and before any other one.
    let alone = kind.is_alone(bound.double());
    match (bound.tail.is_empty(), lower) {
        (true, true) => Tie::In,
        (true, false) => Tie::Out,
        (false, true) if alone => Tie::Out,
        (false, false) if alone => Tie::In,
        (false, _) => Tie::Undecided,
    }
}

/// The least and the greatest score of a part. All scores are between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zone {
    pub(super) least: f64,
    pub(super) greatest: f64,
}

/// The scores of a part, as they are stored.
#[derive(Debug, Default)]
pub(super) struct Scores(Vec<u8>);

impl Scores {
    /// `None` if the part has no scores.
    pub(super) fn zone(&self) -> Option<Zone> {
        let double = |at| self.0.get(at..at + SCORE as usize)?.try_into().ok().map(f64::from_le_bytes);
        Some(Zone { least: double(0)?, greatest: double(SCORE as usize)? })
    }

    /// The score of a row of the part; `None` is null.
    fn at(&self, row: u32) -> Option<f64> {
        let first = (ZONES + row * SCORE) as usize;
        score(self.0.get(first..)?.first_chunk()?)
    }

    /// The score of each row of the part, up to the last one that has any; `None` is null.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        self.0.get(ZONES as usize..).unwrap_or_default().as_chunks().0.iter().map(score)
    }
}

/// A score as it is stored; `None` is null.
fn score(bytes: &[u8; SCORE as usize]) -> Option<f64> {
    // 0 is stored as -0, and adding 0 makes it 0.
    if *bytes == [0; SCORE as usize] { None } else { Some(f64::from_le_bytes(*bytes) + 0.0) }
}

/// A part, by its segment and its number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) segment: u32,
    pub(super) number: u32,
}

impl Part {
    /// The part of a number that counts all parts of the model.
    pub(super) fn of(number: u32) -> Self {
        Self { segment: number / PARTS, number: number % PARTS }
    }

    /// The parts of a segment of a model that has handed out so many rows.
    pub(super) fn of_segment(segment: u32, handed: u32) -> impl Iterator<Item = Self> {
        (segment * PARTS..handed.div_ceil(PART).min((segment + 1) * PARTS)).map(Self::of)
    }

    pub(super) fn first_row(self) -> u32 {
        self.segment * SEGMENT + self.number * PART
    }

    /// The parts of a segment that have rows in its bitmap.
    fn with_rows(segment: u32, bitmap: &[u8]) -> impl Iterator<Item = Self> {
        let some = bitmap.chunks(BYTES).enumerate().filter(|(_, bits)| bits.iter().any(|byte| *byte != 0));
        some.map(move |(number, _)| Self { segment, number: number as u32 })
    }

    /// The bytes of the segment's bitmap.
    fn bytes(self) -> std::ops::Range<usize> {
        let first = self.number as usize * BYTES;
        first..first + BYTES
    }

    fn key(self, target: &Target, column: usize) -> String {
        target.keys.scores(target.schema.columns()[column].name(), self.segment * PARTS + self.number)
    }

    /// The part's rows in a set.
    fn rows(self, rows: &mut Rows) -> &mut [u8] {
        let bitmap = rows.segment_mut(self.segment);
        let range = self.bytes();
        if bitmap.len() < range.end {
            bitmap.resize(range.end, 0);
        }
        &mut bitmap[range]
    }
}

/// Rows that have a zone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Segment(u32),
    Part(Part),
}

/// Adds the rows of a part to a set. They are bits, as in the bitmap of the segment.
pub(super) fn insert(rows: &mut Rows, part: Part, bits: &[u8]) {
    part.rows(rows).iter_mut().zip(bits).for_each(|(one, two)| *one |= two);
}

/// Reads zones; `None` if a place has no scores. One round trip.
pub(super) async fn zones(db: &Db, target: &Target, column: usize, places: &[Place]) -> Result<Vec<Option<Zone>>> {
    let mut pipeline = Pipeline::with_capacity(places.len());
    for place in places {
        let (part, first) = match *place {
            Place::Part(part) => (part, 0),
            // The first part of a segment also has the zone of the segment.
            Place::Segment(segment) => (Part { segment, number: 0 }, ZONE),
        };
        pipeline.cmd("GETRANGE").arg(part.key(target, column)).arg(first).arg(first + ZONE - 1);
    }
    Ok(replies(db, target, &pipeline).await?.into_iter().map(|bytes| Scores(bytes).zone()).collect())
}

/// Reads the scores of several columns in parts: of each part, those of each column. One round
/// trip.
pub(super) async fn columns(db: &Db, target: &Target, columns: &[usize], parts: &[Part]) -> Result<Vec<Vec<Scores>>> {
    let mut pipeline = Pipeline::with_capacity(parts.len() * columns.len());
    for (part, column) in parts.iter().flat_map(|part| columns.iter().map(move |column| (part, column))) {
        pipeline.cmd("GET").arg(part.key(target, *column));
    }
    let mut replies = replies(db, target, &pipeline).await?.into_iter().map(Scores);
    Ok(parts.iter().map(|_| replies.by_ref().take(columns.len()).collect()).collect())
}

async fn replies(db: &Db, target: &Target, pipeline: &Pipeline) -> Result<Vec<Vec<u8>>> {
    let replies = db.send_all(pipeline).await?.into_iter();
    let texts = replies.map(|reply| match reply.map_err(|error| target.wrong_type(error))? {
        Value::BulkString(bytes) => Ok(bytes),
        Value::Nil => Ok(Vec::new()),
        other => Err(target.unexpected(&other)),
    });
    texts.collect()
}

/// The commands that read the scores of these rows of a part, in the order of the rows.
fn commands(pipeline: &mut Pipeline, target: &Target, column: usize, part: Part, bits: &[u8]) -> usize {
    let key = part.key(target, column);
    let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    if count > FEW {
        pipeline.cmd("GET").arg(key);
        return 1;
    }
    for offset in offsets(bits) {
        let first = ZONES + offset * SCORE;
        pipeline.cmd("GETRANGE").arg(&key).arg(first).arg(first + SCORE - 1);
    }
    count as usize
}

/// The parts of a column that are asked for before they were read, at most.
pub(super) fn parts_in_flight(db: &Db) -> usize {
    (db.bytes_in_flight() / (PART * SCORE) as usize).max(1)
}

/// The rows of a bitmap, counted from its first.
fn offsets(bits: &[u8]) -> impl Iterator<Item = u32> {
    bits.iter()
        .enumerate()
        .filter(|(_, byte)| **byte != 0)
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at as u32 * 8 + bit))
}

/// Reads the scores of parts, and calls a function with each part's scores. If only a few rows of a
/// part are wanted, only their scores are read, and the others look like nulls.
async fn read(
    db: &Db,
    target: &Target,
    column: usize,
    parts: &[(Part, Vec<u8>)],
    mut found: impl FnMut(Part, &[u8], Scores),
) -> Result<()> {
    let in_flight = parts_in_flight(db);
    let ahead = AHEAD.min(in_flight);
    let (mut left, mut under_way) = (parts.chunks(in_flight / ahead), FuturesOrdered::new());
    loop {
        while under_way.len() < ahead
            && let Some(some) = left.next()
        {
            let mut pipeline = Pipeline::with_capacity(some.len());
            let count = |(part, bits): &(Part, Vec<u8>)| commands(&mut pipeline, target, column, *part, bits);
            let counts: Vec<usize> = some.iter().map(count).collect();
            under_way.push_back(async move { (some, counts, replies(db, target, &pipeline).await) });
        }
        let Some((some, counts, replies)) = under_way.next().await else { return Ok(()) };
        let replies = replies?;
        let mut replies = replies.into_iter();
        for ((part, bits), count) in some.iter().zip(counts) {
            let rows: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
            let mut texts = replies.by_ref().take(count);
            let scores = if rows > FEW {
                texts.next().unwrap_or_default()
            } else {
                let mut all = vec![0; ZONES as usize];
                for (offset, score) in offsets(bits).zip(texts) {
                    let first = (ZONES + offset * SCORE) as usize;
                    all.resize(first, 0);
                    all.extend(score);
                }
                all
            };
            found(*part, bits, Scores(scores));
        }
    }
}

/// Reads the scores of rows, and calls a function with each row and its score; `None` is null.
pub(super) async fn of_rows(
    db: &Db,
    target: &Target,
    column: usize,
    rows: &Rows,
    mut found: impl FnMut(u32, Option<f64>),
) -> Result<()> {
    let parts = parts_of(rows);
    read(db, target, column, &parts, |part, bits, scores| {
        let first = part.first_row();
        for offset in offsets(bits) {
            found(first + offset, scores.at(offset));
        }
    })
    .await
}

/// The parts of a set that have rows, with these.
fn parts_of(rows: &Rows) -> Vec<(Part, Vec<u8>)> {
    let bits = |part: Part, bitmap: &[u8]| {
        let range = part.bytes();
        bitmap[range.start..range.end.min(bitmap.len())].to_vec()
    };
    let all = rows.segments().filter_map(|segment| Some((segment, rows.segment(segment)?)));
    all.flat_map(|(segment, bitmap)| Part::with_rows(segment, bitmap).map(move |part| (part, bits(part, bitmap))))
        .collect()
}

/// Removes the rows that are not in a range. Returns those that may or may not be in it, as other
/// values share their score; they stay. With `zones`, the zones are read first, which takes one
/// more round trip.
pub(super) async fn keep(db: &Db, target: &Target, range: ScoreRange, rows: &mut Rows, zones: bool) -> Result<Rows> {
    let mut parts = parts_of(rows);
    if zones && !parts.is_empty() {
        let places: Vec<Place> = parts.iter().map(|(part, _)| Place::Part(*part)).collect();
        let mut verdicts = self::zones(db, target, range.column, &places)
            .await?
            .into_iter()
            .map(|zone| zone.map_or(Some(false), |zone| range.decides(zone)));
        parts.retain(|(part, _)| match verdicts.next().flatten() {
            Some(false) => {
                part.rows(rows).fill(0);
                false
            }
            verdict => verdict.is_none(),
        });
    }
    let mut undecided = Rows::default();
    read(db, target, range.column, &parts, |part, bits, scores| {
        let (mut sure, mut possible) = ([0u8; BYTES], [0u8; BYTES]);
        let (sure_range, possible_range) = (range.sure, range.possible);
        let within = |score: f64, (least, greatest): (f64, f64)| u8::from(least <= score && score <= greatest);
        for (at, eight) in scores.0.get(ZONES as usize..).unwrap_or_default().chunks(8 * SCORE as usize).enumerate() {
            let (Some(one), Some(two)) = (sure.get_mut(at), possible.get_mut(at)) else { break };
            for (bit, bytes) in eight.as_chunks::<8>().0.iter().enumerate() {
                let (score, there) = (f64::from_le_bytes(*bytes), u8::from(*bytes != [0; 8]));
                *one |= (there & within(score, sure_range)) << (7 - bit);
                *two |= (there & within(score, possible_range)) << (7 - bit);
            }
        }
        let mine = part.rows(rows);
        let mut doubts = Vec::new();
        for (at, bits) in bits.iter().enumerate() {
            mine[at] = bits & possible[at];
            if mine[at] & !sure[at] != 0 {
                doubts.resize(at, 0);
                doubts.push(mine[at] & !sure[at]);
            }
        }
        if !doubts.is_empty() {
            insert(&mut undecided, part, &doubts);
        }
    })
    .await?;
    Ok(undecided)
}

#[cfg(test)]
mod tests {
    use super::{ScoreRange, Zone};
    use crate::model::schema::{ColumnSchema, ModelSchema};
    use crate::query::plan::Leaf;
    use crate::value::{Kind, SortKey};

    /// Bounds of each kind, and values around them: a range by scores never contradicts the one by
    /// sort keys, and leaves nothing undecided that scores can decide.
    #[test]
    fn a_range_by_scores_agrees_with_the_range_by_sort_keys() {
        let schema = ModelSchema::new(
            "Number",
            vec![
                ColumnSchema::new::<u64>("id").key::<u64>(),
                ColumnSchema::new::<i128>("integer").sort::<i128>(),
                ColumnSchema::new::<f64>("float").sort::<f64>(),
                ColumnSchema::new::<std::time::SystemTime>("time").sort::<std::time::SystemTime>(),
            ],
        );
        let texts: [&[&str]; 4] = [
            &[],
            &["-9007199254740993", "-9007199254740992", "-5", "0", "7", "9007199254740991", "9007199254740993"],
            &["-inf", "-1.5", "-0.0", "0.0", "2.5e300", "inf"],
            &["-1000001", "-1000000", "0", "999999", "1000000", "1000001", "1700000000123456789"],
        ];
        for (column, texts) in texts.iter().enumerate().skip(1) {
            let kind = schema.columns()[column].kind;
            let key = |text: &str| SortKey::of(kind, text.as_bytes());
            for (low, high) in texts.iter().flat_map(|low| texts.iter().map(move |high| (low, high))) {
                for beyond in [(false, false), (false, true), (true, false), (true, true)] {
                    let bound = |text: &str, beyond: bool| {
                        let mut key = key(text);
                        if beyond {
                            key.tail.extend_from_slice(crate::query::plan::BEYOND_ROWS);
                        }
                        Some(key)
                    };
                    let leaf = Leaf::Range { column, low: bound(low, beyond.0), high: bound(high, beyond.1) };
                    let range = ScoreRange::of(&schema, &leaf).unwrap();
                    for text in *texts {
                        let score = key(text).double();
                        let within = leaf.matches(&schema.columns()[column], Some(text.as_bytes()));
                        let (sure, possible) = range.has(score);
                        assert!(!sure || within, "{low}..{high} {beyond:?}: {text} is not in it");
                        assert!(!within || possible, "{low}..{high} {beyond:?}: {text} is in it");
                        let shared =
                            kind != Kind::Float && (kind != Kind::Integer || score.abs() >= 9_007_199_254_740_992.0);
                        assert!(shared || sure == possible, "{low}..{high} {beyond:?}: {text} is undecided");
                        let zone = Zone { least: score, greatest: score };
                        assert!(range.decides(zone).is_none_or(|verdict| verdict == within), "{low}..{high}: {text}");
                    }
                }
            }
        }
    }
}
