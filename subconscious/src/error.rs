//! What can go wrong, in one enum.

use crate::scripts::{IN_SCRIPT, lacks_rights};
use crate::value::ValueError;

/// The result of every call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with the model, the column and the key where there is one.
///
/// ```no_run
/// # use subconscious::{Db, RedisModel};
/// # #[derive(RedisModel)]
/// # struct Account { #[column(primary_key)] id: u64, #[column(unique)] email: String, #[column(version)] version: u64 }
/// # async fn run(db: Db, mut account: Account) -> subconscious::Result<()> {
/// match account.save(&db).await {
///     Err(error) if error.is_conflict() => account.reload(&db).await?, // somebody else was first: decide again
///     Err(error) if error.is_duplicate() => println!("{error}"), // names column and value
///     outcome => outcome?,
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query can't be run: a value in a filter can't be stored, so nothing can equal it, or a cursor is one of another query. Nothing
    /// was sent.
    #[error("invalid query on {model}: {reason}")]
    InvalidQuery {
        /// The model that was asked for.
        model: &'static str,
        /// What is wrong, with the column.
        reason: String,
    },

    /// A value can't be stored: it has no stored form, is too long for an id or an index, is beyond the column's type, or is for Redis to assign.
    /// Nothing was written.
    #[error("{model}.{column}: {reason}")]
    BadData {
        /// The record's model.
        model: &'static str,
        /// The column with the value.
        column: &'static str,
        /// What is wrong with the value.
        reason: String,
    },

    /// A stored record lacks a column that is neither nullable nor has a default.
    #[error("{model}.{column}: no such field in the stored record {key}")]
    MissingColumn {
        /// The record's model.
        model: &'static str,
        /// The column that is missing.
        column: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// Something stored is not what this library stores: a field that its type can't read, or a key of another type.
    #[error("{model}{}: {reason} (at {key})", column.map(|column| format!(".{column}")).unwrap_or_default())]
    Corrupt {
        /// The model the key belongs to.
        model: &'static str,
        /// The column, where it is one column's value that can't be read.
        column: Option<&'static str>,
        /// The key, or the beginning that all keys of the model share.
        key: String,
        /// What was found.
        reason: String,
    },

    /// `insert` found a record with the same id. Nothing was written.
    #[error("{model} {key} exists already")]
    AlreadyExists {
        /// The record's model.
        model: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// `update`, `patch`, `reload`, `expire` or `ttl` found no record with the id. Nothing was written.
    #[error("{model} {key} does not exist")]
    NotFound {
        /// The record's model.
        model: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// Another record has the value of a unique column. Nothing was written.
    #[error("{model}.{column}: another record has the value {value}")]
    Duplicate {
        /// The record's model.
        model: &'static str,
        /// The unique column.
        column: &'static str,
        /// The beginning of the value.
        value: String,
    },

    /// The record was changed or removed since it was read: it has another version. Nothing was written.
    #[error("{model} {key} has {}, not version {expected}: it was changed or removed since it was read", match stored {
        Some(stored) => format!("version {stored}"),
        None => "no version".to_owned(),
    })]
    Conflict {
        /// The record's model.
        model: &'static str,
        /// The key of the record's hash.
        key: String,
        /// The version that the caller has.
        expected: String,
        /// The version that is stored; `None` if there is no record.
        stored: Option<String>,
    },

    /// The stored indexes or the types of stored columns are not those of this program's model, be
    /// it another version or another struct of the same name, or indexes are still being built.
    /// Nothing was read or written.
    #[error("{model}: {difference}")]
    Schema {
        /// The model.
        model: &'static str,
        /// What differs, and which call mends it.
        difference: String,
    },

    /// The connection failed after a write was sent and before its answer came, so it is not known whether it was done. It was
    /// done as a whole or not at all; or a server that did not answer in time does it when it gets to it, maybe after a later write
    /// over a new connection. With a column `version`, it is then refused.
    #[error("{model}: whether {operation} was done is not known; to repeat it is {}: {source}", if *repeatable { "safe" } else { "not safe" })]
    OutcomeUnknown {
        /// The record's model.
        model: &'static str,
        /// The verb, such as `save`.
        operation: &'static str,
        /// Whether it is safe to call it again: if it was done, it does not happen twice. `insert` and a save with a
        /// version then say that the record exists or has changed.
        repeatable: bool,
        /// How the connection failed.
        source: RedisFailure,
    },

    /// The server is too old, or an address, a certificate, a namespace or the text of a cursor can't be used, or a test server did not start.
    /// The text says what is wrong.
    #[error("{0}")]
    Unsupported(String),

    /// The server or the connection to it failed; the source says how.
    #[error(transparent)]
    Redis(#[from] RedisFailure),
}

/// A failure of the server or of the connection to it. Its text is what to do about it, where that is known; its source says in the
/// words of the crate `redis` what happened.
#[derive(Debug, thiserror::Error)]
#[error("{}", hint.clone().unwrap_or_else(|| source.to_string()))]
pub struct RedisFailure {
    hint: Option<String>,
    #[source]
    source: redis::RedisError,
}

impl RedisFailure {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn is_connection(&self) -> bool {
        // A refused password ends the connection, too, but it is the server that refuses.
        let refused = self.source.kind() == redis::ErrorKind::AuthenticationFailed;
        !refused
            && (self.source.is_io_error() || self.source.is_unrecoverable_error() || is_without_primary(&self.source))
    }

    /// The first word of the server's error, such as `READONLY`, `OOM` or `NOAUTH`.
    pub fn code(&self) -> Option<&str> {
        self.source.code()
    }
}

impl Error {
    /// Whether the record exists already ([`Error::AlreadyExists`]).
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Error::AlreadyExists { .. })
    }

    /// Whether there is no such record ([`Error::NotFound`]).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// Whether another record has the value of a unique column ([`Error::Duplicate`]).
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Error::Duplicate { .. })
    }

    /// Whether the record was changed or removed since it was read ([`Error::Conflict`]).
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict { .. })
    }

    /// Whether a write may have been done although no answer came ([`Error::OutcomeUnknown`], which says whether a repeat is safe).
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { .. })
    }

    /// Whether the connection failed, rather than the server refused.
    pub fn is_connection(&self) -> bool {
        match self {
            Error::Redis(failure) | Error::OutcomeUnknown { source: failure, .. } => failure.is_connection(),
            _ => false,
        }
    }

    /// Whether the server would not write, as it is a read-only replica.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Error::Redis(failure) if is_read_only(&failure.source))
    }

    /// An error of a user who may not write, as if the server were a read-only replica: then queries do without.
    pub(crate) fn without_rights_read_only(self) -> Self {
        match self {
            Error::Redis(failure) if lacks_rights(&failure.source) => {
                let reason = "the user may not remove records that expired";
                let kind = redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
                Error::from(redis::RedisError::from((kind, reason)))
            }
            other => other,
        }
    }

    /// An error of a write: if its answer was lost, it may have been done.
    pub(crate) fn of_write(
        source: redis::RedisError,
        model: &'static str,
        operation: &'static str,
        repeatable: bool,
    ) -> Self {
        // A connection that was refused has carried nothing.
        let lost = (source.is_io_error() || source.is_unrecoverable_error()) && !source.is_connection_refusal();
        match Error::from(source) {
            Error::Redis(source) if lost => Error::OutcomeUnknown { model, operation, repeatable, source },
            other => other,
        }
    }

    /// An error of making a connection, and where to.
    pub(crate) fn connecting(source: redis::RedisError, address: &str) -> Self {
        match Error::from(source) {
            Error::Redis(RedisFailure { hint, source }) if source.is_io_error() => {
                let reason = hint.unwrap_or_else(|| source.to_string());
                Error::Redis(RedisFailure { hint: Some(format!("{address}: {reason}")), source })
            }
            other => other,
        }
    }

    pub(crate) fn bad_data(model: &'static str, column: &'static str, reason: ValueError) -> Self {
        Error::BadData { model, column, reason: reason.to_string() }
    }
}

/// Whether sentinels were asked for a primary in vain.
fn is_without_primary(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::MasterNameNotFoundBySentinel
}

/// Whether a server would not write, as it is a read-only replica.
pub(crate) fn is_read_only(error: &redis::RedisError) -> bool {
    // A script that caught the error has put another word before it.
    error.code() == Some("READONLY") || error.detail().is_some_and(|detail| detail.starts_with("READONLY"))
}

impl From<redis::RedisError> for Error {
    fn from(source: redis::RedisError) -> Self {
        use redis::{ErrorKind, ServerErrorKind};
        let hint = match (source.kind(), source.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
                Some("the server refused the user or password; check those in the URL")
            }
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
                Some("the server is a read-only replica; connect to the primary")
            }
            (_, Some("OOM")) => {
                Some("the server is at its `maxmemory`; nothing was written; raise it or delete records")
            }
            (_, Some("MISCONF")) => Some("the server can't save to disk and refuses writes; see its log"),
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
                Some("the server is still loading its data; try again")
            }
            _ if is_without_primary(&source) => Some("the sentinels know no primary of that name that is up"),
            _ if source.is_timeout() => Some("no answer in time"),
            _ if source.is_connection_refusal() => Some("no server answers; is it running?"),
            _ if source.is_connection_dropped() => Some("the connection broke"),
            _ => None,
        };
        let hint = hint.map(str::to_owned).or_else(|| lacks_rights(&source).then(|| rights_hint(&source)));
        Error::Redis(RedisFailure { hint, source })
    }
}

/// Names what the user lacks, in the server's words.
fn rights_hint(source: &redis::RedisError) -> String {
    let said = source.detail().unwrap_or_default();
    // A script says where in it the error was raised, which is of no use here.
    let after = |said, words| str::rsplit_once(said, words).map_or(said, |(_, said)| said);
    let said = after(after(said, "NOPERM "), IN_SCRIPT);
    let said = said.split(" script: ").next().unwrap_or_default().trim_end();
    format!("the user lacks a right: {said}; docs/src/rights.md lists the commands and keys that are needed")
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::scripts::raised;

    #[test]
    fn what_a_user_lacks_is_said_in_the_words_of_each_server() {
        let right = "User ann has no permissions to run the 'time' command";
        let said = [
            format!("NOPERM {right}"),
            format!("NOPERM ACL failure in script: {right} script: on @user_script:168."),
            format!("ERR ACL failure in script: {right} script: 8128, on @user_script:168."),
            format!("EXECABORT Transaction discarded because of: NOPERM {right}"),
        ];
        let expected =
            format!("the user lacks a right: {right}; docs/src/rights.md lists the commands and keys that are needed");
        for said in said {
            assert_eq!(Error::from(raised(said.as_bytes())).to_string(), expected, "{said}");
        }
        let of_7_0 = "ERR The user executing the script can't access at least one of the keys mentioned script: 8, on @user_script:1.";
        let text = Error::from(raised(of_7_0.as_bytes())).to_string();
        assert!(text.starts_with("the user lacks a right: The user executing the script can't access"), "{text}");
    }
}
