//! The errors of this crate, in one enum.

use std::fmt;
use std::sync::Arc;

use crate::server::cluster;
use crate::server::reply::{IN_SCRIPT, lacks_rights};
use crate::value::ValueError;

/// The result of every call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with the model, the column and the key if there is one.
///
/// ```no_run
/// # use subconscious::{Db, RedisModel};
/// # #[derive(RedisModel)]
/// # struct Account { #[column(primary_key)] id: u64, #[column(unique)] email: String, #[column(version)] version: u64 }
/// # async fn run(db: Db, mut account: Account) -> subconscious::Result<()> {
/// match account.save(&db).await {
///     Err(error) if error.is_conflict() => account.reload(&db).await?, // then decide again
///     Err(error) if error.is_duplicate() => println!("{error}"), // names column and value
///     outcome => outcome?,
/// }
/// # Ok(()) }
/// ```
/// A message has one sentence that says what is wrong with which model, column and value, and one
/// sentence that says what to do. No message repeats the message of its source.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query can't be run: a value in a filter can't be stored, so nothing can equal it, or a
    /// name is that of no column that could be used. Nothing was sent.
    #[error("the query on {model} cannot be run: {reason}")]
    #[non_exhaustive]
    InvalidQuery {
        /// The model of the query.
        model: &'static str,
        /// What is wrong, and in which column.
        reason: String,
    },

    /// The text is no cursor, or the cursor is one of another query. Nothing was sent.
    #[error("{reason}")]
    #[non_exhaustive]
    InvalidCursor {
        /// What is wrong with the cursor.
        reason: String,
    },

    /// A value can't be stored: it has no stored form, is too long for an id or an index, or can be
    /// assigned only by Redis. Nothing was written.
    #[error("{model}.{column}: {reason}")]
    #[non_exhaustive]
    BadData {
        /// The record's model.
        model: &'static str,
        /// The column with the value.
        column: &'static str,
        /// What is wrong with the value.
        reason: String,
    },

    /// A counter would leave the range of its type, by an `incr` or `decr`, or because a `version`
    /// or `auto_increment` column is at the end of its type. Nothing was written.
    #[error(
        "{model}.{column}: from {stored} it would leave the range of its type, {least} to {greatest}, in {key}. Change it by less, or give the \
         column a larger type"
    )]
    #[non_exhaustive]
    OutOfRange {
        /// The record's model.
        model: &'static str,
        /// The column that counts.
        column: &'static str,
        /// The key of the record's hash.
        key: String,
        /// The number that is stored.
        stored: Box<str>,
        /// The least number of the column's type.
        least: Box<str>,
        /// The greatest number of the column's type.
        greatest: Box<str>,
    },

    /// A stored record lacks a column that is neither nullable nor has a default. Or it lacks its
    /// row number, which is reported as the column `#`.
    #[error("{model}.{column}: the stored record {key} lacks it. {}", if *column == "#" {
        format!("It is the row number: `{model}::repair` gives the record one")
    } else {
        "Save the record anew, or give the column a `default` or an `Option` as its type".to_owned()
    })]
    #[non_exhaustive]
    MissingColumn {
        /// The record's model.
        model: &'static str,
        /// The column that is missing.
        column: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// Stored data is not what this library stores: a field that its type can't read, or a key of
    /// another type.
    #[error("{model}{}: {reason}, {} {key}. {}",
        column.map(|column| format!(".{column}")).unwrap_or_default(),
        if column.is_some() { "in" } else { "at" },
        if column.is_some() {
            "Save the record anew, or delete it".to_owned()
        } else {
            format!("If something else wrote there, rename or delete its keys, or use another namespace; `{model}::check` says more")
        }
    )]
    #[non_exhaustive]
    Corrupt {
        /// The model the key belongs to.
        model: &'static str,
        /// The column, if it is the value of one column that can't be read.
        column: Option<&'static str>,
        /// The key, or the beginning that all keys of the model share.
        key: String,
        /// What was found.
        reason: String,
    },

    /// `insert` found a record with the same id. Nothing was written.
    #[error("{model} {key} exists already. Choose another id, or replace the record by `save`")]
    #[non_exhaustive]
    AlreadyExists {
        /// The record's model.
        model: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// `update`, `patch`, `reload`, `expire` or `ttl` found no record with the id. Or `save` found
    /// no record, although Redis has assigned its id or number to one. Nothing was written.
    #[error("{model} {key} does not exist, or not any more. Do without it, or insert it as a new record")]
    #[non_exhaustive]
    NotFound {
        /// The record's model.
        model: &'static str,
        /// The key of the record's hash.
        key: String,
    },

    /// Another record has the value of a unique column. Nothing was written. The column may be one
    /// that a newer program has made unique.
    #[error("{model}.{column}: {} the value {value}. {}", owners(records), if records.is_empty() {
        "Choose another, or change that record first"
    } else {
        "Change one of them, and migrate again"
    })]
    #[non_exhaustive]
    Duplicate {
        /// The record's model.
        model: &'static str,
        /// The unique column.
        column: &'static str,
        /// The beginning of the value.
        value: String,
        /// The keys of records that have the value, if a migration found them before it changed
        /// anything; else empty.
        records: Vec<String>,
    },

    /// The record was changed or removed after it was read: it has another version, or another
    /// value of a column than a patch [expected](crate::Column::expected). Nothing was written.
    #[error("{model}.{column}: {} is stored in {key}, not {expected}, as the record was changed or removed since it was read. Reload it \
        and decide again", stored.as_deref().unwrap_or("nothing"))]
    #[non_exhaustive]
    Conflict {
        /// The record's model.
        model: &'static str,
        /// The column with the version, or the column of which a value was expected.
        column: &'static str,
        /// The key of the record's hash.
        key: String,
        /// The version that the caller has, or the beginning of the value that it expected; `null`
        /// for null.
        expected: String,
        /// The version or the beginning of the value that is stored; `None` if there is no record,
        /// or for null.
        stored: Option<String>,
    },

    /// The stored indexes or column types are not those of this program's model, but of another
    /// version of it or of another struct with the same name. Or indexes are still being built.
    /// Nothing was read or written.
    #[error("{model}: {difference}")]
    #[non_exhaustive]
    Schema {
        /// The model.
        model: &'static str,
        /// What differs, and which call resolves it.
        difference: String,
    },

    /// The connection failed after a write was sent and before its answer arrived, so it is not
    /// known whether the write was done. It was done as a whole or not at all. A server that did
    /// not answer in time may also do it later, even after a later write over a new connection.
    /// With a `version` column, the late write is then refused.
    #[error("{model}: whether {operation} was done is not known, as its answer was lost. {}", if *repeatable {
        "To repeat it is safe"
    } else {
        "To repeat it is not safe: load the record to see whether it was done"
    })]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The record's model.
        model: &'static str,
        /// The verb, such as `save`.
        operation: &'static str,
        /// Whether it is safe to repeat the call: if the write was done, it is not done twice. A
        /// repeated `insert` then says that the record exists, and a repeated save with a version
        /// that the record has changed.
        repeatable: bool,
        /// How the connection failed.
        source: RedisFailure,
    },

    /// An address, a certificate, a namespace or a time limit can't be used, or a test server did
    /// not start. The text says what is wrong.
    #[error("{reason}")]
    #[non_exhaustive]
    Configuration {
        /// What is wrong, and what to do.
        reason: String,
    },

    /// The server is too old.
    #[error("the server is {found}, which lacks commands that are needed. Use {needed} or newer")]
    #[non_exhaustive]
    UnsupportedServer {
        /// The server and its version.
        found: String,
        /// The oldest version that is supported.
        needed: String,
    },

    /// The stream of an import had an error in place of a record, which is the source of this one.
    #[error("the stream has an error in place of the record")]
    Source(#[source] Arc<dyn std::error::Error + Send + Sync>),

    /// The server or the connection to it failed; the source says how.
    #[error(transparent)]
    Redis(#[from] RedisFailure),
}

/// A failure of the server or of the connection to it. Its text says what happened and what to do
/// about it, if that is known; otherwise it has the words of the server. Its source says what
/// happened in the words of the server or the system, unless the text already does.
#[derive(Debug, Clone)]
pub struct RedisFailure {
    hint: Option<String>,
    source: redis::RedisError,
}

impl fmt::Display for RedisFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            Some(hint) => f.write_str(hint),
            None => self.source.fmt(f),
        }
    }
}

impl std::error::Error for RedisFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text already says in the server's words what the user lacks.
        if lacks_rights(&self.source) {
            return None;
        }
        // The message of an error of redis-rs contains that of its source, which may contain that
        // of its own source.
        let (text, mut next) = (self.to_string(), Some(&self.source as &(dyn std::error::Error + 'static)));
        while let Some(error) = next {
            let (said, below) = (error.to_string(), error.source());
            if !text.contains(&said) && !below.is_some_and(|below| said.contains(&below.to_string())) {
                return Some(error);
            }
            next = below;
        }
        None
    }
}

impl RedisFailure {
    /// What to do about the failure, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn is_connection(&self) -> bool {
        // A refused password also ends the connection, but here the server has refused.
        let refused = self.source.kind() == redis::ErrorKind::AuthenticationFailed;
        !refused
            && (self.source.is_io_error() || self.source.is_unrecoverable_error() || is_without_primary(&self.source))
    }

    /// The first word of the server's error, such as `READONLY`, `OOM` or `NOAUTH`.
    pub fn code(&self) -> Option<&str> {
        code(&self.source)
    }
}

/// Who has a value.
fn owners(records: &[String]) -> String {
    match records {
        [] => "another record has".into(),
        records => format!("the records {} have", records.join(" and ")),
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

    /// Whether a counter would leave its type ([`Error::OutOfRange`]).
    pub fn is_out_of_range(&self) -> bool {
        matches!(self, Error::OutOfRange { .. })
    }

    /// Whether a write may have been done although no answer came ([`Error::OutcomeUnknown`], which
    /// says whether a repeat is safe).
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { .. })
    }

    /// Whether the caller gave what can't be: a value that can't be stored, a name of no column, a
    /// cursor of another query ([`Error::BadData`], [`Error::InvalidQuery`],
    /// [`Error::InvalidCursor`]). A web service answers 400.
    pub fn is_invalid_input(&self) -> bool {
        matches!(self, Error::BadData { .. } | Error::InvalidQuery { .. } | Error::InvalidCursor { .. })
    }

    /// Whether the same call may succeed later, as its failure is that of the server or of the
    /// connection: it failed ([`is_connection`](Self::is_connection)), or the server refuses calls
    /// for a while, such as when it loads its data or is full. A web service answers 503.
    pub fn is_unavailable(&self) -> bool {
        let Error::Redis(failure) = self else { return self.is_connection() };
        failure.is_connection() || failure.code().is_some_and(|code| FOR_A_WHILE.contains(&code))
    }

    /// Whether the connection failed, as opposed to a refusal by the server.
    pub fn is_connection(&self) -> bool {
        match self {
            Error::Redis(failure) | Error::OutcomeUnknown { source: failure, .. } => failure.is_connection(),
            _ => false,
        }
    }

    /// Whether the server refuses all writes for a reason that does not prevent reads. Then this
    /// program evaluates the filter of a query. A script that leaves a filter to this program
    /// answers the same: see [`read_only`](Self::read_only).
    pub(crate) fn refuses_writes(&self) -> bool {
        let Error::Redis(failure) = self else { return false };
        matches!(failure.code(), Some("READONLY" | "NOREPLICAS" | "MISCONF"))
    }

    /// The error of a read-only replica, so that this program evaluates the filter of a query.
    pub(crate) fn read_only(reason: &'static str) -> Self {
        let kind = redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly);
        Error::from(redis::RedisError::from((kind, reason)))
    }

    /// Turns the error of a user who may not write into that of a read-only replica, so that
    /// queries run without writing.
    pub(crate) fn without_rights_read_only(self) -> Self {
        match self {
            Error::Redis(failure) if lacks_rights(&failure.source) => {
                Self::read_only("the user may not remove records that expired")
            }
            other => other,
        }
    }

    /// The error of a write. If its answer was lost, the write may have been done.
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

    /// The error of a connection that could not be made, with the address.
    pub(crate) fn connecting(source: redis::RedisError, address: &str) -> Self {
        match Error::from(source) {
            Error::Redis(RedisFailure { hint, source }) if source.is_io_error() => {
                let reason = hint.unwrap_or_else(|| source.to_string());
                Error::Redis(RedisFailure { hint: Some(format!("{address}: {reason}")), source })
            }
            other => other,
        }
    }

    pub(crate) fn configuration(reason: impl Into<String>) -> Self {
        Error::Configuration { reason: reason.into() }
    }

    pub(crate) fn bad_data(model: &'static str, column: &'static str, reason: ValueError) -> Self {
        Error::BadData { model, column, reason: reason.to_string() }
    }
}

/// Whether the sentinels were asked for a primary and knew none.
fn is_without_primary(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::MasterNameNotFoundBySentinel
}

/// Whether a server refused to write because it is a read-only replica.
pub(crate) fn is_read_only(error: &redis::RedisError) -> bool {
    code(error) == Some("READONLY")
}

/// The codes by which a server may refuse a command in the middle of a script.
const REFUSALS: [&str; 9] =
    ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "NOPERM", "WRONGTYPE", "BUSY", "LOADING"];

/// The codes by which a server refuses calls for a while.
const FOR_A_WHILE: [&str; 10] =
    ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "BUSY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "ASK"];

/// The first word of a server's error. If a script caught the error and raised it again, another
/// word precedes it.
fn code(error: &redis::RedisError) -> Option<&str> {
    let code = error.code();
    let said = || error.detail()?.split(' ').next().filter(|word| REFUSALS.contains(word));
    if code == Some("ERR") { said().or(code) } else { code }
}

impl From<redis::RedisError> for Error {
    fn from(source: redis::RedisError) -> Self {
        use redis::ErrorKind;
        let hint = match (source.kind(), code(&source)) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
                Some("the server refused the user or password. Check those in the URL")
            }
            (_, Some("READONLY")) => Some("the server is a read-only replica. Connect to the primary"),
            (_, Some("OOM")) => {
                Some("the server is at its `maxmemory`, so that nothing was written. Raise it, or delete records")
            }
            (_, Some("MISCONF")) => {
                Some("the server cannot save its data to disk and refuses writes. Its log has the reason")
            }
            (_, Some("NOREPLICAS")) => Some(
                "too few replicas follow the server, so that it refuses writes. Bring them back, or lower its \
                 `min-replicas-to-write`",
            ),
            (_, Some("MASTERDOWN")) => Some(
                "the replica lost its primary and answers nothing. Connect to another server, or try again when it has one",
            ),
            (_, Some("BUSY")) => {
                Some("the server is busy with a script that takes too long. Try again, or end it by `SCRIPT KILL`")
            }
            (_, Some("LOADING")) => Some("the server is still loading its data. Try again in a while"),
            (_, Some("CLUSTERDOWN")) => Some(
                "the cluster has no master for the keys of the model. See by `CLUSTER INFO` and `CLUSTER NODES` which are down, \
                 or try again after a failover",
            ),
            (_, Some("TRYAGAIN" | "ASK")) => Some(
                "the keys of the model are being moved to another node of the cluster, for longer than a call waits. Try again \
                 when they have arrived",
            ),
            (_, Some("MOVED")) => Some(
                "the server is a node of a cluster, and another one has the keys of the model. Open the cluster by `Db::open`",
            ),
            _ if is_without_primary(&source) => Some(
                "the sentinels know no primary of that name that is up. Check the name in the address, or try again after \
                 a failover",
            ),
            _ if source.is_timeout() => Some(
                "no answer came in time. See whether the server can be reached and what keeps it, or allow more time by \
                 `DbBuilder`",
            ),
            _ if source.is_connection_refusal() => {
                Some("no server answers. See whether it is running, and whether this is its address")
            }
            _ if source.is_connection_dropped() => Some("the connection broke. The next call makes another"),
            _ => None,
        };
        let hint = hint.map(|hint| match cluster::unreachable_node(&source) {
            Some(node) => format!("{node}: {hint}"),
            None => hint.to_owned(),
        });
        let hint = hint.or_else(|| lacks_rights(&source).then(|| rights_hint(&source)));
        Error::Redis(RedisFailure { hint, source })
    }
}

/// Names what the user lacks, in the server's words.
fn rights_hint(source: &redis::RedisError) -> String {
    let said = source.detail().unwrap_or_default();
    // A script adds where in it the error was raised, which is of no use here.
    let after = |said, words| str::rsplit_once(said, words).map_or(said, |(_, said)| said);
    let said = after(after(said, "NOPERM "), IN_SCRIPT);
    let said = said.split(" script: ").next().unwrap_or_default().trim_end();
    // The server's words may be a whole sentence, with a full stop.
    let said = said.trim_end_matches('.');
    format!("the user lacks a right: {said}. {RIGHTS}")
}

const RIGHTS: &str = "Grant it by `ACL SETUSER`; the chapter \"Users and their rights\" of the guide lists the commands and keys that are needed";

#[cfg(test)]
mod tests {
    use super::{Error, RIGHTS};
    use crate::server::reply::raised;

    #[test]
    fn what_a_user_lacks_is_said_in_the_words_of_each_server() {
        let right = "User ann has no permissions to run the 'time' command";
        let said = [
            format!("NOPERM {right}"),
            format!("NOPERM ACL failure in script: {right} script: on @user_script:168."),
            format!("ERR ACL failure in script: {right} script: 8128, on @user_script:168."),
            format!("EXECABORT Transaction discarded because of: NOPERM {right}"),
        ];
        let expected = format!("the user lacks a right: {right}. {RIGHTS}");
        for said in said {
            assert_eq!(Error::from(raised(said.as_bytes())).to_string(), expected, "{said}");
        }
        let of_7_0 = "ERR The user executing the script can't access at least one of the keys mentioned script: 8, on @user_script:1.";
        let text = Error::from(raised(of_7_0.as_bytes())).to_string();
        assert!(text.starts_with("the user lacks a right: The user executing the script can't access"), "{text}");
    }

    #[test]
    fn what_a_script_caught_and_raised_again_keeps_its_code_and_hint() {
        let said = [
            ("MISCONF Errors writing to the AOF file: No space left on device", "MISCONF", "Its log"),
            ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", "min-replicas-to-write"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", "delete records"),
            ("READONLY You can't write against a read only replica.", "READONLY", "the primary"),
            ("MASTERDOWN Link with MASTER is down", "MASTERDOWN", "Connect to another"),
        ];
        for (said, code, advice) in said {
            for said in [said.to_owned(), format!("ERR {said} script: on @user_script:481.")] {
                let error = Error::from(raised(said.as_bytes()));
                let Error::Redis(failure) = &error else { panic!("{error:?}") };
                assert_eq!(failure.code(), Some(code), "{said}");
                assert!(error.to_string().contains(advice), "{error}");
                assert!(error.is_unavailable() && !error.is_connection(), "{error}");
            }
        }
        let Error::Redis(other) = Error::from(raised(b"ERR DB index is out of range")) else { panic!() };
        assert_eq!(other.code(), Some("ERR"));
        assert!(!Error::Redis(other).is_unavailable());
    }
}
