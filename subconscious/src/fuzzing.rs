//! Entry points for the fuzz targets in `fuzz/`: they read bytes that something else may have made.

use redis::Value;

use crate::model::RedisModel;
use crate::query::cursor::Cursor;
use crate::query::exec::Position;
use crate::query::filter::{Bound, Condition};
use crate::query::plan::Node;
use crate::query::request::{OrderKey, Request};
use crate::value::{SortKey, index_form, list};
use crate::write::record;

/// Cuts bytes into pieces. Each piece follows its length, which is one byte; a length of 255 stands
/// for `None`.
fn pieces(mut bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut pieces = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let piece = if length == 255 { &[][..] } else { &rest[..rest.len().min(usize::from(length))] };
        pieces.push((length != 255).then(|| piece.to_vec()));
        bytes = &rest[piece.len()..];
    }
    pieces
}

/// Reads a text as a cursor. Also reads forged positions, with the tag that makes them cursors of
/// the query.
pub fn cursor<M: RedisModel>(bytes: &[u8]) {
    if let Ok(cursor) = String::from_utf8_lossy(bytes).parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
    }
    let schema = M::schema();
    let keys: Vec<OrderKey> = (0..schema.columns().len())
        .filter(|&column| schema.columns()[column].has_sort())
        .map(|column| OrderKey { column, descending: column % 2 == 0, nulls_first: column % 3 == 0 })
        .collect();
    let orders = keys.iter().map(|key| vec![*key]).chain([Vec::new(), keys.clone()]);
    let mut pieces = pieces(bytes).into_iter().flatten();
    let mut piece = || pieces.next().unwrap_or_default();
    let Ok(position) = Position::of([piece(), piece(), piece()]) else { return };
    for order in orders {
        let request = Request { condition: Condition::All, order, backwards: false };
        let cursor = Cursor::new(schema, &request, &position, false);
        if let Ok(position) = cursor.position(schema, &request) {
            assert_eq!(Cursor::new(schema, &request, &position, cursor.is_backwards()), cursor);
            if let Some(entry) = position.entry(&request.order) {
                assert!(entry.compare(&entry, &request.order).is_eq());
            }
        }
    }
}

/// Reads the fields of a stored record, and uses them in filters and orders.
pub fn record<M: RedisModel>(bytes: &[u8]) {
    let schema = M::schema();
    let mut pieces = pieces(bytes).into_iter();
    let mut field = || pieces.next().flatten().map_or(Value::Nil, Value::BulkString);
    let id = vec![b'7'];
    let fields: Vec<Value> = (0..=schema.stored.len()).map(|_| field()).collect();
    let found = record::found(schema, &id, &id, Value::Array(fields.clone()));
    let _ = found.map(|found| found.map(|mut found| M::read(&mut found)));
    let wanted = field();
    let (Value::BulkString(wanted), columns) = (wanted, &schema.stored) else { return };
    for &column in columns {
        let kind = schema.columns()[column].kind;
        let ordinal = schema.columns()[column].ordinal_of(&wanted).unwrap_or(0);
        let bound = |inclusive| Some(Bound { stored: wanted.clone(), ordinal, inclusive });
        for condition in [
            Condition::Equals { column, stored: wanted.clone() },
            Condition::IsNull { column },
            Condition::Range { column, low: bound(true), high: None },
            Condition::Range { column, low: None, high: bound(false) },
        ] {
            let matches = |condition: &Condition| Node::of(schema, condition).matches(schema, columns, &fields[1..]);
            assert_ne!(matches(&condition), matches(&condition.clone().not()));
        }
        let _ = (index_form(kind, &wanted), list::elements(&wanted), list::entries(&wanted));
        let key = SortKey::of(kind, &wanted);
        assert!(key.compare(&key).is_eq());
    }
}

/// Reads a plan that somebody sent.
#[cfg(feature = "json")]
pub fn plan(bytes: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<crate::Plan>(bytes) {
        let _ = plan.to_string();
    }
}
