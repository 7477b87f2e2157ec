//! Turns refusals of scripts into errors.

use crate::error::Error;
use crate::model::layout::LONGEST_INDEXED;
use crate::model::schema::ColumnSchema;
use crate::model::target::Target;
use crate::server::reply::Refusal;
use crate::text::{Excerpt, printable};
use crate::write::call::Write;

impl Target {
    pub(crate) fn refusal(&self, write: Option<&Write>, refusal: Refusal) -> Error {
        let model = self.schema.name();
        let named = |name: &[u8]| self.schema.columns().iter().find(|column| column.name().as_bytes() == name);
        let name_of = |name: &[u8]| named(name).map_or("", ColumnSchema::name);
        let key = || write.map_or_else(|| self.keys.prefix.clone(), |write| printable(&write.key));
        match refusal {
            Refusal::Exists => Error::AlreadyExists { model, key: key() },
            Refusal::Missing => Error::NotFound { model, key: key() },
            Refusal::Duplicate { column, value } => {
                let (column, value) = (name_of(&column), Excerpt(&value).to_string());
                Error::Duplicate { model, column, value, records: Vec::new() }
            }
            Refusal::Conflict(stored) => {
                let expected = write.and_then(|write| write.expected.as_deref()).unwrap_or_default();
                let expected = String::from_utf8_lossy(expected).into_owned();
                let column = self.schema.version.map_or("", |at| self.schema.columns()[at].name());
                Error::Conflict { model, column, key: key(), expected, stored }
            }
            Refusal::Unexpected { column, expected, found } => {
                let shown = |value: &[u8]| value.split_first().map(|(_, value)| Excerpt(value).to_string());
                let (expected, stored) = (shown(&expected).unwrap_or_else(|| "null".into()), shown(&found));
                Error::Conflict { model, column: name_of(&column), key: key(), expected, stored }
            }
            Refusal::Assigned { column, value } => {
                let reason = format!(
                    "Redis assigns the number, and {value} is not the one of this record. Leave it 0 in a new \
                     record, and unchanged in one that was loaded"
                );
                Error::BadData { model, column: name_of(&column), reason }
            }
            Refusal::Overflow { column, stored, bounds } => {
                let of_column = || named(&column).map_or(("", ""), |column| column.bounds);
                let (least, greatest) = bounds.unwrap_or_else(|| {
                    let (least, greatest) = of_column();
                    (least.to_owned(), greatest.to_owned())
                });
                Error::OutOfRange {
                    model,
                    column: name_of(&column),
                    key: key(),
                    stored: stored.into(),
                    least: least.into(),
                    greatest: greatest.into(),
                }
            }
            Refusal::Lacks { column } => Error::MissingColumn { model, column: name_of(&column), key: key() },
            Refusal::Number { column, value, key: of_record } => Error::Corrupt {
                model,
                column: Some(name_of(&column)),
                key: of_record.unwrap_or_else(key),
                reason: format!("{} is not a number", Excerpt(&value)),
            },
            Refusal::Long { column, key } => {
                let reason = format!("an indexed value has at most {LONGEST_INDEXED} bytes, that of {key} has more");
                Error::BadData { model, column: name_of(&column), reason }
            }
            Refusal::Schema(stored) => match stored.lacks(self.program) {
                Some(difference) => Error::Schema { model, difference },
                None => self.changing(),
            },
            Refusal::Corrupt(reason) => Error::Corrupt { model, column: None, key: key(), reason },
            // The callers that can act on these handle them before. Here they are unexpected.
            other @ (Refusal::Due
            | Refusal::Lists
            | Refusal::Ordinal { .. }
            | Refusal::Failed(_)
            | Refusal::Unknown(_)) => self.unexpected(&other),
        }
    }

    /// The error of a call that was repeated several times, and still found another schema.
    pub(crate) fn changing(&self) -> Error {
        let difference = "another program changes its schema at the same time. Try again".into();
        Error::Schema { model: self.schema.name(), difference }
    }
}
