//! Descriptions of columns in `meta`: its field `columns` lists the columns that indexes depend on,
//! its field `types` lists all columns.
//!
//! Each column has one line: its name, its type and the code of its kind, separated by `:`, then a
//! word for each of its attributes. A name contains no `:`. In `types`, a column has a line for
//! each type that programs have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::model::index::{Part, Parts};
use crate::value::Kind;

/// One line of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) type_name: &'a str,
    /// The code of the kind.
    pub(crate) kind: char,
    pub(crate) null: bool,
    pub(crate) key: bool,
    pub(crate) index: bool,
    pub(crate) sort: bool,
    pub(crate) unique: bool,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once(':')?;
        let (type_name, rest) = rest.rsplit_once(':')?;
        let (kind, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind = kind.chars().next()?;
        let has = |word: &str| words.split(' ').any(|other| other == word);
        let (null, key) = (has("null"), has("key"));
        let (index, sort, unique) = (has("index"), has("sort"), has("unique"));
        Some(Self { name, type_name, kind, null, key, index, sort, unique })
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index || self.sort || self.unique
    }

    /// The parts of the column's index.
    pub(crate) fn parts(&self) -> Parts {
        Parts::of(self.kind, self.index, self.sort, self.unique)
    }

    /// Whether both columns have the same stored type.
    pub(crate) fn has_type_of(&self, other: &Line<'_>) -> bool {
        (self.type_name, self.kind) == (other.type_name, other.kind)
    }

    /// Whether this type can read every value of the other one.
    pub(crate) fn holds(&self, other: &Line<'_>) -> bool {
        let is_list = |line: &Line<'_>| line.kind == Kind::List.code();
        let same_shape = is_list(self) == is_list(other);
        same_shape && (self.type_name == other.type_name || holds(self.type_name, other.type_name))
    }

    /// Whether this part of an index has the same keys and members for the values of both columns.
    pub(crate) fn same_form(&self, part: Part, other: &Line<'_>) -> bool {
        match part {
            // The ordinals of two types are different numbers.
            Part::Ordinals => self.has_type_of(other),
            Part::Sorted => self.kind == other.kind,
            Part::Lists | Part::Owners => self.kind == other.kind || self.is_of_texts() && other.is_of_texts(),
        }
    }

    /// Whether this part of the column's index is right if a program whose column is `other`
    /// writes values.
    pub(crate) fn takes(&self, part: Part, other: &Line<'_>) -> bool {
        let takes_texts = match part {
            Part::Ordinals => return self.has_type_of(other),
            Part::Sorted => self.kind == Kind::Bytes.code(),
            Part::Lists | Part::Owners => self.is_of_texts(),
        };
        self.same_form(part, other) || self.holds(other) || takes_texts && other.kind != Kind::List.code()
    }

    /// Whether a value of the column is one text. Equal values of other kinds may be stored in
    /// several forms, or a column has several values.
    fn is_of_texts(&self) -> bool {
        ![Kind::Decimal, Kind::Float, Kind::List].map(Kind::code).contains(&self.kind)
    }

    /// The line without the attributes of indexes.
    pub(crate) fn without_index(&self) -> Self {
        Self { index: false, sort: false, unique: false, ..*self }
    }

    /// Name and type.
    pub(crate) fn typed(&self) -> String {
        format!("{}:{}", self.name, self.type_name)
    }

    /// The type in words.
    pub(crate) fn type_text(&self) -> Cow<'a, str> {
        if self.kind == Kind::List.code() {
            Cow::Owned(format!("list of {}", self.type_name))
        } else {
            self.type_name.into()
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, type_name, kind, .. } = self;
        write!(f, "{name}:{type_name}:{kind}")?;
        let words = [
            (self.null, "null"),
            (self.key, "key"),
            (self.index, "index"),
            (self.sort, "sort"),
            (self.unique, "unique"),
        ];
        words.into_iter().filter(|(has, _)| *has).try_for_each(|(_, word)| write!(f, " {word}"))
    }
}

/// Whether each value of the type `narrow` has the same stored form in the type `wide`.
fn holds(wide: &str, narrow: &str) -> bool {
    // The size of `usize` and `isize` depends on the machine.
    let bits = |name: &str, letter: char, of_size: u32| match name.strip_prefix(letter)? {
        "size" => Some(of_size),
        bits => bits.parse().ok(),
    };
    let (of_wide, of_narrow) = (|letter| bits(wide, letter, 32), |letter| bits(narrow, letter, 64));
    match (of_wide('u'), of_wide('i'), of_narrow('u'), of_narrow('i')) {
        (Some(wide), _, Some(narrow), _) | (_, Some(wide), _, Some(narrow)) => wide >= narrow,
        (_, Some(wide), Some(narrow), _) => wide > narrow,
        _ => matches!((wide, narrow), ("f64", "f32") | ("text", "enum")),
    }
}

/// The columns of a description. Lines that are not about a column are skipped.
pub(crate) fn lines(description: &str) -> impl Iterator<Item = Line<'_>> {
    description.lines().filter_map(Line::parse)
}

/// The line of the column with this name.
pub(crate) fn line<'a>(description: &'a str, name: &str) -> Option<Line<'a>> {
    lines(description).find(|line| line.name == name)
}

/// The columns of `ours` that are only stored with other types: pairs of a stored line and the line
/// of `ours`.
pub(crate) fn changed<'a>(types: &'a str, ours: &'a str) -> Vec<(Line<'a>, Line<'a>)> {
    let changed = |line: Line<'a>| {
        let mut stored = lines(types).filter(|stored| stored.name == line.name).peekable();
        let last = *stored.peek()?;
        (!stored.any(|stored| stored.has_type_of(&line))).then_some((last, line))
    };
    lines(ours).filter_map(changed).collect()
}

/// All types of both sides. A column is nullable if it is so on either.
pub(crate) fn merged(types: &str, ours: &str) -> String {
    let mut all = BTreeMap::<(&str, &str, char), Line<'_>>::new();
    for line in lines(types).chain(lines(ours)) {
        all.entry((line.name, line.type_name, line.kind)).or_insert(line).null |= line.null;
    }
    all.into_values().map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
}

/// All types, but only those of `ours` for the columns that `ours` has.
pub(crate) fn replaced(types: &str, ours: &str) -> String {
    let others = lines(types).filter(|stored| line(ours, stored.name).is_none());
    merged(&others.map(|line| line.to_string()).collect::<Vec<_>>().join("\n"), ours)
}

/// The types of the columns on which indexes depend. Nothing else is known about records that were
/// stored before `types` existed.
pub(crate) fn types(description: &str) -> String {
    lines(description).map(|line| line.without_index().to_string()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{changed, holds, merged, replaced, types};

    #[test]
    fn types_are_compared_by_name_and_merged() {
        let stored = "id:u32:i key\nname:text:t\nsize:u16:i null\ntags:text:l";
        let ours = "at:naive datetime:n\nid:u32:i key\nname:text:l\nsize:u16:i";
        let [(old, new)] = changed(stored, ours)[..] else { panic!("{:?}", changed(stored, ours)) };
        assert_eq!((old.name, old.type_text(), new.type_text()), ("name", "text".into(), "list of text".into()));
        let both = merged(stored, ours);
        assert_eq!(both, "at:naive datetime:n\nid:u32:i key\nname:text:l\nname:text:t\nsize:u16:i null\ntags:text:l");
        assert_eq!((changed(&both, ours), changed(&both, stored)), (vec![], vec![]));
        assert_eq!(replaced(&both, ours), "at:naive datetime:n\nid:u32:i key\nname:text:l\nsize:u16:i\ntags:text:l");
        assert_eq!((merged("", ours), changed("", ours)), (ours.into(), vec![]));
        let indexed = "layout 2\nid:u32:i key sort\nsize:u16:i null index";
        assert_eq!(types(indexed), "id:u32:i key\nsize:u16:i null");
    }

    #[test]
    fn a_wider_type_holds_a_narrower_one() {
        for (wide, narrow) in [("u64", "u16"), ("i64", "i8"), ("i16", "u8"), ("f64", "f32"), ("text", "enum")] {
            assert!(holds(wide, narrow) && !holds(narrow, wide), "{wide} {narrow}");
        }
        for (one, other) in [("u64", "i8"), ("i64", "u64"), ("text", "uuid"), ("u64", "f64"), ("uuid", "u8")] {
            assert!(!holds(one, other), "{one} {other}");
        }
    }
}
