//! Descriptions of columns in `meta`: its field `columns` lists the columns that indexes depend on,
//! its field `types` lists all columns.
//!
//! Each column has one line: its name, its type and the code of its kind, separated by `:`, then a
//! word for each of its abilities. A name contains no `:`.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// One line of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The whole line.
    pub(crate) text: &'a str,
    pub(crate) name: &'a str,
    type_name: &'a str,
    kind: &'a str,
    words: &'a str,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once(':')?;
        let (type_name, rest) = rest.rsplit_once(':')?;
        let (kind, words) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self { text, name, type_name, kind, words })
    }

    fn has(&self, word: &str) -> bool {
        self.words.split(' ').any(|other| other == word)
    }

    pub(crate) fn is_key(&self) -> bool {
        self.has("key")
    }

    pub(crate) fn is_indexed(&self) -> bool {
        ["index", "sort", "unique"].iter().any(|word| self.has(word))
    }

    /// Whether both columns have the same stored type.
    pub(crate) fn has_type_of(&self, other: &Line<'_>) -> bool {
        (self.type_name, self.kind) == (other.type_name, other.kind)
    }

    /// Name and type.
    pub(crate) fn typed(&self) -> String {
        format!("{}:{}", self.name, self.type_name)
    }

    /// The type in words.
    pub(crate) fn type_text(&self) -> Cow<'a, str> {
        if self.kind == "l" { Cow::Owned(format!("list of {}", self.type_name)) } else { self.type_name.into() }
    }
}

/// The columns of a description. Lines that are not about a column are skipped.
pub(crate) fn lines(description: &str) -> impl Iterator<Item = Line<'_>> {
    description.lines().filter_map(Line::parse)
}

/// The columns of `ours` that are stored with another type: pairs of the stored line and the line
/// of `ours`.
pub(crate) fn changed<'a>(stored: &'a str, ours: &'a str) -> Vec<(Line<'a>, Line<'a>)> {
    let known: BTreeMap<&str, Line<'_>> = lines(stored).map(|line| (line.name, line)).collect();
    let pairs = lines(ours).filter_map(|line| Some((*known.get(line.name)?, line)));
    pairs.filter(|(stored, line)| !stored.has_type_of(line)).collect()
}

/// Merges the types of all columns. For a column that both sides have, `ours` counts.
pub(crate) fn merged(stored: &str, ours: &str) -> String {
    let all: BTreeMap<&str, &str> = lines(stored).chain(lines(ours)).map(|line| (line.name, line.text)).collect();
    all.into_values().collect::<Vec<_>>().join("\n")
}

/// The types of the columns on which indexes depend. Nothing else is known about records that were
/// stored before `types` existed.
pub(crate) fn types(description: &str) -> String {
    let line = |line: Line<'_>| {
        let mut types = format!("{}:{}", line.typed(), line.kind);
        for word in ["null", "key"].into_iter().filter(|word| line.has(word)) {
            types.push(' ');
            types.push_str(word);
        }
        types
    };
    lines(description).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{changed, merged, types};

    #[test]
    fn types_are_compared_by_name_and_merged() {
        let stored = "id:u32:i key\nname:text:t\nsize:u16:i null\ntags:text:l";
        let ours = "at:naive datetime:n\nid:u32:i key\nname:text:l\nsize:u16:i";
        let [(old, new)] = changed(stored, ours)[..] else { panic!("{:?}", changed(stored, ours)) };
        assert_eq!((old.name, old.type_text(), new.type_text()), ("name", "text".into(), "list of text".into()));
        assert_eq!(merged(stored, ours), "at:naive datetime:n\nid:u32:i key\nname:text:l\nsize:u16:i\ntags:text:l");
        assert_eq!((merged("", ours), changed("", ours)), (ours.into(), vec![]));
        let indexed = "layout 2\nid:u32:i key sort\nsize:u16:i null index";
        assert_eq!(types(indexed), "id:u32:i key\nsize:u16:i null");
    }
}
