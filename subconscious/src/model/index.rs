//! How the scripts index a column. The index spec tells `scripts/write/index.lua` which keys the
//! column's index has.

/// Which keys an index has, besides those of unique values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
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
    pub(crate) const fn code(self) -> char {
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
pub(crate) const UNIQUE: char = 'u';
pub(crate) const NOT_UNIQUE: char = '-';

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
