//! The values of `rename_all`.

/// How the name of a variant becomes its stored name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    apply: fn(&str) -> String,
}

/// Every case. Each name is written in its own case.
pub(crate) const CASES: [Case; 8] = [
    Case { name: "lowercase", apply: str::to_lowercase },
    Case { name: "UPPERCASE", apply: str::to_uppercase },
    Case { name: "PascalCase", apply: str::to_owned },
    Case { name: "camelCase", apply: camel },
    Case { name: "snake_case", apply: |variant| words(variant, '_') },
    Case { name: "SCREAMING_SNAKE_CASE", apply: |variant| words(variant, '_').to_uppercase() },
    Case { name: "kebab-case", apply: |variant| words(variant, '-') },
    Case { name: "SCREAMING-KEBAB-CASE", apply: |variant| words(variant, '-').to_uppercase() },
];

impl Case {
    pub(crate) fn find(name: &str) -> Option<Self> {
        CASES.into_iter().find(|case| case.name == name)
    }

    pub(crate) fn apply(self, variant: &str) -> String {
        (self.apply)(variant)
    }
}

fn camel(variant: &str) -> String {
    let mut chars = variant.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The words of a name in lower case. Every upper-case letter begins a word, even within an
/// acronym. This is the rule of serde, so an enum has the same names in Redis and in JSON. A rule
/// that keeps acronyms together reads better, but was rejected for that reason.
fn words(variant: &str, separator: char) -> String {
    let mut out = String::with_capacity(variant.len() + 4);
    for (at, letter) in variant.char_indices() {
        if at > 0 && letter.is_uppercase() {
            out.push(separator);
        }
        // A variant may be written with underscores under `allow(non_camel_case_types)`.
        if letter == '_' {
            out.push(separator);
        } else {
            out.extend(letter.to_lowercase());
        }
    }
    out
}
