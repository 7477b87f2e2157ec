//! What a derive easily gets wrong.
#![deny(missing_docs, warnings, unreachable_pub, clippy::all)]

/// A module of the user's own with the crate's name.
mod subconscious {
    #[allow(dead_code)]
    pub(super) struct Column;
}

/// The crate under another path.
mod reexport {
    pub(crate) use ::subconscious as mapper;
}

use ::subconscious::{ColumnEnum, RedisModel};

type Id = u64;
type Maybe<T> = Option<T>;

/// Kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// One.
    FirstOne,
    /// Two.
    #[column(rename = "zwei")]
    Second,
}

/// A public model with private columns.
#[derive(Debug, Clone, PartialEq, RedisModel)]
#[model(ttl = "1d 12h", renew)]
pub struct Public {
    #[column(primary_key)]
    id: Id,
    #[column(index, sort, rename = "type of thing")]
    r#type: Maybe<String>,
    #[column(index)]
    kind: Option<Kind>,
    #[column(default = 3 + 4)]
    level: u32,
    #[column(default)]
    name: String,
    #[column(skip)]
    cache: Vec<u8>,
    #[column(skip, default = vec![1])]
    other: Vec<u8>,
    #[column(unique)]
    slug: Maybe<String>,
    #[column(version)]
    version: u16,
    #[column(created_at, index, sort)]
    created: ::std::time::SystemTime,
    #[column(updated_at, default = 5)]
    updated: u64,
    #[column(index, default = vec![Kind::Second])]
    kinds: Vec<Kind>,
    #[column(index)]
    tags: Option<::std::collections::BTreeSet<String>>,
    details: ::subconscious::Json<Vec<Self>>,
}

impl serde::Serialize for Public {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.id)
    }
}

impl<'de> serde::Deserialize<'de> for Public {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        unimplemented!()
    }
}

#[derive(RedisModel)]
#[model(crate = reexport::mapper, name = "Elsewhere")]
struct Moved {
    #[column(primary_key)]
    kind: Elsewhere,
}

#[derive(Clone, ColumnEnum)]
#[column(crate = reexport::mapper)]
enum Elsewhere {
    Here,
    #[column(other)]
    There(Text),
}

type Text = ::std::string::String;

#[derive(Clone, Copy, ColumnEnum)]
enum Forgetful {
    Known,
    #[column(other)]
    r#Else,
}

#[derive(RedisModel)]
struct Pair {
    #[column(composite_key)]
    record: u16,
    #[column(composite_key, sort)]
    values: String,
}

macro_rules! model {
    ($name:ident, $field:ident, $type:ty) => {
        #[derive(RedisModel)]
        struct $name {
            #[column(primary_key)]
            $field: $type,
        }
    };
}
model!(Generated, key, char);

fn main() {
    #[derive(RedisModel)]
    struct Local {
        #[column(primary_key, auto_increment)]
        id: u32,
    }
    assert_eq!(Local { id: 4 }.id(), 4);
    assert_eq!(Pair { record: 1, values: "a".into() }.id(), (1, "a".to_owned()));
    assert_eq!(Generated { key: 'x' }.id(), 'x');
    assert_eq!(Moved::schema().name(), "Elsewhere");
    assert!(matches!(Moved { kind: Elsewhere::Here }.id(), Elsewhere::Here));
    let _ = (Kind::FirstOne, Kind::Second);
    let names: Vec<_> = Public::schema().columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["id", "type of thing", "kind", "level", "name", "slug", "version", "created", "updated", "kinds", "tags", "details"]);
    let _ = Public::filter_by(|u| u.r#type.eq("a") | u.kind.is_in([Kind::Second]) | !u.kind.is_some())
        .order_by(|u| u.r#type.desc())
        .limit(3);
    let _ = Public::filter_by(|u| {
        u.slug.eq("a") & u.kinds.contains_any([Kind::FirstOne]) & u.tags.contains_all(["x"]) & u.created.lt(::std::time::SystemTime::now())
    });
    let columns = Public::columns();
    let _ = [columns.r#type.clear(), columns.level.incr(1), columns.kinds.set(Vec::new()), columns.version.expected(3)];
}
