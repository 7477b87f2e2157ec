//! Pages of a query, and cursors between them.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::model::schema::{ModelSchema, fnv};
use crate::query::exec::entry::{SortEntry, read_keys, write_keys};
use crate::query::exec::position::{Member, Position};
use crate::query::plan::Node;
use crate::query::request::Request;
use crate::sealed::Sealed;
use crate::text::Excerpt;
use crate::value::{SortKey, parse};

/// One page of a query, made by [`Query::page`](crate::Query::page).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Page<M> {
    /// The records, at most as many as the query's limit.
    pub items: Vec<M>,
    /// Where the next page begins; `None` if this is the last page. A full page may have a cursor
    /// even if nothing follows.
    pub next: Option<Cursor>,
    /// Where the page before ends; `None` if this is the first page. There may be a cursor even if
    /// nothing comes before.
    pub previous: Option<Cursor>,
}

impl<M> Page<M> {
    /// The same page, with each item changed by `change`.
    pub fn map<T>(self, change: impl FnMut(M) -> T) -> Page<T> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next, previous: self.previous }
    }
}

/// Where a page ended or began, for [`Query::after`](crate::Query::after). It can be printed, and
/// [`str::parse`] reads it back; in serde (feature `serde`) it is this text.
///
/// A cursor is the position of the page's last or first record in the query's order, not a number
/// of records. So records that are added or removed before it move nothing, and cursors of the same
/// position are equal. A cursor belongs to one query, and any other query refuses it; limit and
/// offset may change.
///
/// A cursor is not encrypted: whoever has it can read that record's values of the columns that
/// order the query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Vec<u8>);

/// What [`Query::after`](crate::Query::after) takes: a [`Cursor`], or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is no cursor",
    label = "expected `Cursor` or `Option<Cursor>`",
    note = "a cursor is read from text by `parse`: `text.parse::<Cursor>()?`"
)]
pub trait IntoCursor: Sealed {
    /// The cursor, or `None` for the beginning.
    fn into_cursor(self) -> Option<Cursor>;
}

impl Sealed for Cursor {}
impl Sealed for Option<Cursor> {}

#[diagnostic::do_not_recommend]
impl IntoCursor for Cursor {
    fn into_cursor(self) -> Option<Cursor> {
        Some(self)
    }
}

#[diagnostic::do_not_recommend]
impl IntoCursor for Option<Cursor> {
    fn into_cursor(self) -> Self {
        self
    }
}

/// Bytes of the tag that a cursor begins with. The tag is a hash of the query and the position.
const TAG: usize = 8;

impl Cursor {
    pub(crate) fn new(schema: &ModelSchema, request: &Request, position: &Position, backwards: bool) -> Self {
        let row = |row: &dyn ToString| row.to_string().into_bytes();
        let (code, first, second) = match position {
            Position::Start => (BEGINNING, Vec::new(), Vec::new()),
            Position::Row(at) => (b'r', row(at), Vec::new()),
            Position::Null(at) => (b'n', at.as_ref().map(|at| row(at)).unwrap_or_default(), Vec::new()),
            Position::Value(None) => (b'k', Vec::new(), Vec::new()),
            Position::Value(Some(Member { score, member })) => (b'k', one_form(score), member.clone()),
            Position::Entry(entry) => (b'm', write_keys(&entry.keys), row(&entry.row)),
        };
        let mut place = vec![if backwards { code.to_ascii_uppercase() } else { code }];
        place.extend_from_slice(&(first.len() as u16).to_be_bytes());
        place.extend_from_slice(&first);
        place.extend_from_slice(&second);
        let mut bytes = tag(schema, request, &place).to_vec();
        bytes.append(&mut place);
        Self(bytes)
    }

    /// Whether the cursor leads to the page before.
    pub(crate) fn is_backwards(&self) -> bool {
        self.0.get(TAG).is_some_and(u8::is_ascii_uppercase)
    }

    /// The position, if the cursor belongs to this query.
    pub(crate) fn position(&self, schema: &ModelSchema, request: &Request) -> Result<Position, Error> {
        let read = || {
            let (found, place) = self.0.split_at_checked(TAG)?;
            if found != tag(schema, request, place) {
                return None;
            }
            let [code, high, low, rest @ ..] = place else { return None };
            let (first, second) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            // A tag can be forged. So what the script takes for numbers is checked here.
            let row = |bytes: &[u8]| parse::<u32>(bytes).filter(|row| *row <= 1 << 31);
            let is_score = |bytes: &[u8]| parse::<f64>(bytes).is_some_and(|score| !score.is_nan());
            match (code.to_ascii_lowercase(), first, second) {
                (BEGINNING, [], []) => Some(Position::Start),
                (b'r', first, []) => Some(Position::Row(row(first)?)),
                (b'n', [], []) => Some(Position::Null(None)),
                (b'n', first, []) => Some(Position::Null(Some(row(first)?))),
                (b'k', [], []) => Some(Position::Value(None)),
                (b'k', score, member) => {
                    let member = Member { score: score.to_vec(), member: member.to_vec() };
                    (is_score(score) && member.member.len() >= 4).then_some(Position::Value(Some(member)))
                }
                (b'm', keys, at) => {
                    let keys = read_keys(keys, request.order.len())?;
                    let sound = keys.iter().flatten().all(|SortKey { score, .. }| is_score(score));
                    let row = i64::from(row(at)?);
                    sound.then_some(Position::Entry(SortEntry { keys, row }))
                }
                _ => None,
            }
        };
        read().ok_or_else(|| {
            let name = schema.name();
            let reason = format!(
                "the cursor of the query on {name} is one of another query. Use it with the model, filter and order of the page that it came from"
            );
            Error::InvalidCursor { reason }
        })
    }
}

/// The code of the position before all records.
const BEGINNING: u8 = b'b';

/// A score as the shortest text of its double: the server's answer and the stored value may be
/// different texts of one number. A whole number, such as an ordinal, stays a whole number.
fn one_form(score: &[u8]) -> Vec<u8> {
    let Some(score) = parse::<f64>(score) else { return score.to_vec() };
    // Adding 0.0 turns -0.0 into 0.0.
    let text = format!("{:?}", score + 0.0);
    text.strip_suffix(".0").unwrap_or(&text).as_bytes().to_vec()
}

/// A hash of a query and a position in it.
fn tag(schema: &ModelSchema, request: &Request, place: &[u8]) -> [u8; TAG] {
    let mut parts = vec![schema.name().as_bytes().to_vec()];
    parts.extend(schema.key.iter().map(|&at| schema.columns()[at].name().as_bytes().to_vec()));
    for key in &request.order {
        let column = &schema.columns()[key.column];
        let (name, kind) = (column.name(), column.kind.code());
        parts.push(format!("{name}:{kind}:{}:{}", key.descending, key.nulls_first).into_bytes());
    }
    parts.extend(Node::of(schema, &request.condition).words(schema));
    parts.push(place.to_vec());
    // Each part comes after its length, so that two different lists of parts never make the same
    // text.
    let text: Vec<u8> = parts.iter().flat_map(|part| [&part.len().to_be_bytes()[..], part].concat()).collect();
    fnv(&text).to_be_bytes()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Reads what `to_string` wrote.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCursor`] if the text is not a cursor. Whether it belongs to a query is
    /// checked when the query is run.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.filter(|bytes| bytes.len() > TAG).map(Self).ok_or_else(|| {
            let text = Excerpt(text.as_bytes());
            Error::InvalidCursor {
                reason: format!("{text} is not a cursor. Use the text of one that came with a page"),
            }
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
