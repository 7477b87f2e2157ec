//! Reads a column's values of all records that match.

use redis::Value;

use crate::error::Result;
use crate::model::target::Target;
use crate::query::exec::Execution;
use crate::query::exec::context::{self, Context, MatchingRows};
use crate::query::exec::hit::Hit;
use crate::query::exec::scores;
use crate::query::request::Request;
use crate::server::Db;

/// Records that are read at a time.
pub(crate) const STEP: usize = context::STEP;

/// The values of a `sort` column that has a sorted set, in the records that match.
pub(crate) struct Values {
    context: Context,
    column: usize,
    matches: MatchingRows,
}

impl Values {
    /// Finds the rows that match, and reads their scores, if these are known to match and the
    /// column has scores. It calls the function with each row and its score; nulls are left out.
    pub(crate) async fn read(
        db: &Db,
        target: Target,
        request: Request,
        column: usize,
        mut found: impl FnMut(u32, f64),
    ) -> Result<Self> {
        let mut context = Execution::new(db, target, request)?.context;
        let matches = context.matching(&context.filter.clone(), None).await?;
        let values = Self { context, column, matches };
        if values.has_scores() {
            let Self { context, matches, .. } = &values;
            scores::of_rows(&context.db, &context.target, column, &matches.rows, |row, score| {
                if let Some(score) = score {
                    found(row, score);
                }
            })
            .await?;
        }
        Ok(values)
    }

    fn has_scores(&self) -> bool {
        self.matches.exact && self.context.target.schema.columns()[self.column].kind.has_scores()
    }

    /// The rows that may match, and whose scores were not read.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = u32> {
        self.matches.rows.iter().filter(|_| !self.has_scores())
    }

    /// The records of these rows that match, each with the stored value. Two round trips.
    pub(crate) async fn of(&self, rows: &[u32]) -> Result<Vec<(Hit, Value)>> {
        let columns = self.context.request.fields(self.context.target.schema, &[self.column]);
        let at = columns.iter().position(|column| *column == self.column);
        let hits = self.context.look_up(rows, Some(&columns)).await?;
        let with_value = |mut hit: Hit| {
            let Some(Value::Array(fields)) = &mut hit.fields else { return None };
            // The row number is before the columns.
            let stored = at.and_then(|at| fields.get_mut(at + 1)).map(|stored| std::mem::replace(stored, Value::Nil));
            // A key is read from the id.
            Some((hit, stored.unwrap_or(Value::Nil)))
        };
        Ok(hits.into_iter().filter_map(with_value).collect())
    }
}
