//! How the scripts index a column. The index spec tells `scripts/write/index.lua` which keys the
//! column's index has.

use crate::value::Kind;

/// A part of a column's index: keys that are built and dropped together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The posting lists and containers of all values and of null.
    Lists,
    /// The sorted set and the scores by row, and the posting list or containers of null.
    Sorted,
    /// The sorted set of the values in the order of their ordinals, which lists go with.
    Ordinals,
    /// The owners of unique values.
    Owners,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Lists, Self::Sorted, Self::Ordinals, Self::Owners];

    /// The part's name in `meta`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::Sorted => "sorted",
            Self::Ordinals => "ordinals",
            Self::Owners => "owners",
        }
    }
}

/// A set of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Parts(u8);

impl Parts {
    pub(crate) const NONE: Self = Self(0);

    /// The parts of the index of a column with these attributes.
    pub(crate) fn of(kind: char, index: bool, sort: bool, unique: bool) -> Self {
        let of_few_values = sort && kind == Kind::Ordinal.code();
        let parts = [
            (Part::Lists, index || of_few_values),
            (Part::Sorted, sort && !of_few_values),
            (Part::Ordinals, of_few_values),
            (Part::Owners, unique),
        ];
        parts.into_iter().filter(|(_, has)| *has).map(|(part, _)| part).collect()
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    pub(crate) fn has(self, part: Part) -> bool {
        self.0 & 1 << part as u8 != 0
    }

    /// Whether null has a posting list or containers.
    pub(crate) fn has_nulls(self) -> bool {
        self.has(Part::Lists) || self.has(Part::Sorted)
    }

    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.has(*part))
    }

    /// The index spec of a column of this kind with these parts, with the ordinal 0: see
    /// `scripts/write/index.lua`.
    pub(crate) fn spec(self, kind: char) -> String {
        let index = match (self.has(Part::Lists), self.has(Part::Sorted), self.has(Part::Ordinals)) {
            (true, _, true) => Index::Ordinals,
            (true, true, _) => Index::Both,
            (true, false, _) => Index::Containers,
            (false, true, _) => Index::Sorted,
            (false, false, _) => Index::None,
        };
        let unique = if self.has(Part::Owners) { UNIQUE } else { NOT_UNIQUE };
        format!("{}{kind}{unique}0", index.code())
    }

    /// The index spec to build these parts with. An order of values is built with their lists,
    /// where entries that exist stay.
    pub(crate) fn spec_to_build(self, kind: char) -> String {
        let lists = self.has(Part::Ordinals).then_some(Part::Lists);
        self.iter().chain(lists).collect::<Self>().spec(kind)
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |parts, part| parts | 1 << part as u8))
    }
}

/// What a query needs of the index of a column, which is given by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Values(usize),
    Nulls(usize),
    Order(usize),
    Owners(usize),
}

impl Need {
    pub(crate) fn column(self) -> usize {
        match self {
            Self::Values(at) | Self::Nulls(at) | Self::Order(at) | Self::Owners(at) => at,
        }
    }
}

/// Which keys an index has, besides those of unique values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    /// No keys.
    None,
    /// A posting list or containers for each value.
    Containers,
    /// A sorted set.
    Sorted,
    /// Both.
    Both,
    /// The same as `Containers`, and a sorted set of the values in the order of their ordinals.
    Ordinals,
}

impl Index {
    const fn code(self) -> char {
        match self {
            Self::None => 'n',
            Self::Containers => 'c',
            Self::Sorted => 's',
            Self::Both => 'b',
            Self::Ordinals => 'o',
        }
    }
}

/// The character of an index spec that says whether the column is unique.
const UNIQUE: char = 'u';
const NOT_UNIQUE: char = '-';

/// The number of bytes of an index spec before the ordinal: the index, the kind, and whether the
/// column is unique.
pub(crate) const BEFORE_ORDINAL: usize = 3;

/// The codes, by their names in the scripts.
pub(crate) const CODES: [(&str, char); 5] = [
    ("INDEX_NONE", Index::None.code()),
    ("INDEX_SORTED", Index::Sorted.code()),
    ("INDEX_BOTH", Index::Both.code()),
    ("INDEX_ORDINALS", Index::Ordinals.code()),
    ("INDEX_UNIQUE", UNIQUE),
];

/// The plan of changes that `index.lua` makes: the codes of its steps, and the slots of a step.
pub(crate) const PLAN: [(&str, u64); 19] = [
    ("STEP_LIST", 1),
    ("STEP_SET", 2),
    ("STEP_BITMAP", 3),
    ("STEP_SORTED", 4),
    ("STEP_UNIQUE", 5),
    ("STEP_ENTERED", 6),
    ("SLOT_STEP", 1),
    ("SLOT_KEY", 2),
    ("SLOT_ADDS", 3),
    ("SLOT_GONE", 3),
    ("SLOT_SIZE", 4),
    ("SLOT_SCORE", 4),
    ("SLOT_NAME", 5),
    ("SLOT_COMES", 5),
    ("SLOT_VALUE", 6),
    ("SLOT_SCORES", 6),
    ("SLOT_ORDINAL", 7),
    ("SLOT_ZONE", 7),
    ("SLOTS", 7),
];
