//! The short way of a query for one value of a unique column: its owner.

use crate::error::Result;
use crate::model::id;
use crate::query::exec::call::{self, ReplyReader};
use crate::query::exec::context::{Context, size};
use crate::query::exec::hit::Hit;
use crate::query::exec::position::Position;
use crate::query::plan::{Leaf, Node};
use crate::query::way::PlanWay;
use crate::scripts::OWNER;
use crate::server::reply::Answer;

/// Reads the owner of the value, if there is one; `None` if `query.lua` has to answer: the filter
/// is another one, or the rows after `from` are wanted. One row needs no order, but its position in
/// one is not known.
pub(super) async fn read(context: &Context, from: &Position, columns: &[usize]) -> Result<Option<Vec<Hit>>> {
    let (db, target) = (&context.db, &context.target);
    let Node::Leaf(Leaf::Unique { column, values }) = &context.filter else { return Ok(None) };
    let positions = !context.exact_positions || context.request.order.is_empty();
    let begins = *from == Position::Start && context.skip == 0 && !context.client_side;
    if values.len() != 1 || !positions || !begins || target.reader(db) != target.schema.registration {
        return Ok(None);
    }
    let mut command = call::begin(db, target, &OWNER);
    command.arg(target.schema.columns()[*column].name()).arg(values);
    for &at in columns {
        command.arg(target.schema.columns()[at].name());
    }
    let reply = OWNER.run(db, &command).await.map_err(|error| target.wrong_type(error))?;
    let mut reply = ReplyReader::of(target, Answer::of(reply))?;
    if !reply.flag()? {
        return Ok(None);
    }
    let (microseconds, mut hits) = (reply.number()?, Vec::new());
    if !reply.is_done() {
        let (row, directory, fields) = (reply.number()?, reply.bytes()?, reply.value()?);
        let Some(id) = id::from_directory(target.schema, directory) else { return Ok(None) };
        hits.push(Hit { row, key: target.keys.record(&id), id, fields: Some(fields) });
    }
    context.note(|stats| {
        let bytes = hits.iter().map(|hit| hit.id.len() + hit.fields.as_ref().map_or(0, size)).sum();
        stats.call(PlanWay::Owner, microseconds, hits.len() as u64, bytes);
    });
    Ok(Some(hits))
}
