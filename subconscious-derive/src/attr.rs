//! Parses `#[model(..)]` and `#[column(..)]`: a list of `name` and `name = value` with known names.
//!
//! A mistake in one entry must not hide a mistake in the next. So syn's `parse_nested_meta` was
//! rejected, as it stops at the first mistake.

use proc_macro2::TokenTree;
use syn::ext::IdentExt as _;
use syn::parse::discouraged::Speculative as _;
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta, Path, Token};

use crate::errors::Errors;

/// What may follow a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value(&'static str),
    ValueOrNothing,
}

/// An attribute and the names that are valid in it.
#[derive(Debug)]
pub(crate) struct Spec {
    attribute: &'static str,
    names: &'static [(&'static str, Takes)],
}

/// `#[model(..)]` on a struct.
pub(crate) const MODEL: Spec = Spec {
    attribute: "model",
    names: &[
        ("name", Takes::Value("\"..\"")),
        ("ttl", Takes::Value("\"1h 30m\"")),
        ("renew", Takes::Nothing),
        ("crate", Takes::Value("path")),
    ],
};

/// `#[column(..)]` on a field.
pub(crate) const COLUMN: Spec = Spec {
    attribute: "column",
    names: &[
        ("primary_key", Takes::Nothing),
        ("composite_key", Takes::Nothing),
        ("auto_increment", Takes::Nothing),
        ("index", Takes::Nothing),
        ("sort", Takes::Nothing),
        ("unique", Takes::Nothing),
        ("version", Takes::Nothing),
        ("created_at", Takes::Nothing),
        ("updated_at", Takes::Nothing),
        ("expires_at", Takes::Nothing),
        ("rename", Takes::Value("\"..\"")),
        ("default", Takes::ValueOrNothing),
        ("skip", Takes::Nothing),
    ],
};

/// `#[column(..)]` on an enum.
pub(crate) const ENUM: Spec =
    Spec { attribute: "column", names: &[("rename_all", Takes::Value("\"..\"")), ("crate", Takes::Value("path"))] };

/// `#[column(..)]` on a variant.
pub(crate) const VARIANT: Spec =
    Spec { attribute: "column", names: &[("rename", Takes::Value("\"..\"")), ("other", Takes::Nothing)] };

/// The valid entries of an item's attributes, each name once.
#[derive(Default)]
pub(crate) struct Entries {
    entries: Vec<Entry>,
    /// The valid names that unknown names looked like. The unknown names were reported, so what is
    /// missing because of them needs no second message.
    guesses: Vec<&'static str>,
}

struct Entry {
    name: Ident,
    value: Option<Value>,
}

enum Value {
    Expr(Box<Expr>),
    /// `name(..)`, which is not valid for any name.
    List(TokenTree),
}

impl Spec {
    /// Reads all attributes of this kind among `attrs`.
    pub(crate) fn read(&self, attrs: &[Attribute], errors: &mut Errors) -> Entries {
        let mut entries = Entries::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident(self.attribute)) {
            let Meta::List(list) = &attr.meta else {
                errors.on(&attr.meta, format_args!("expected `#[{}(..)]`", self.attribute));
                continue;
            };
            let mut found = Vec::new();
            let parsed = (|input: ParseStream<'_>| {
                while !input.is_empty() {
                    found.extend(entry(input, errors));
                }
                Ok(())
            })
            .parse2(list.tokens.clone());
            if let Err(error) = parsed {
                errors.push(error);
            }
            for entry in found {
                self.admit(entry, &mut entries, errors);
            }
        }
        entries
    }

    /// Checks an entry's name and the presence of its value.
    fn admit(&self, entry: Entry, entries: &mut Entries, errors: &mut Errors) {
        let Entry { name, value } = &entry;
        let Some((_, takes)) = self.names.iter().find(|(known, _)| name == known) else {
            let guess = self.guess(&name.unraw().to_string());
            let did_you_mean = guess.map(|guess| format!(", did you mean `{guess}`?")).unwrap_or_default();
            let names = self.names.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let attribute = self.attribute;
            errors.on(
                name,
                format_args!("unknown attribute `{name}`{did_you_mean}\nvalid in `#[{attribute}(..)]` here: {names}"),
            );
            entries.guesses.extend(guess);
            return;
        };
        if entries.get(&name.to_string()).is_some() {
            errors.on(name, format_args!("duplicate attribute `{name}`"));
            return;
        }
        match (takes, value) {
            (Takes::Nothing, Some(value)) => errors.on(value, format_args!("`{name}` takes no value")),
            (Takes::Value(form), None) => errors.on(name, format_args!("`{name}` needs a value: `{name} = {form}`")),
            (Takes::Value(form), Some(Value::List(list))) => {
                errors.on(list, format_args!("the value is written `{name} = {form}`"));
            }
            (Takes::ValueOrNothing, Some(Value::List(list))) => {
                errors.on(list, format_args!("the value is written `{name} = ..`"));
            }
            _ => {}
        }
        // The entry is kept even if its value is wrong, so that nothing else reports the name as
        // missing.
        entries.entries.push(entry);
    }

    /// The valid name that was probably meant.
    fn guess(&self, name: &str) -> Option<&'static str> {
        let names = || self.names.iter().map(|(known, _)| *known);
        let part = |long: &str, short: &str| short.len() > 2 && (long.starts_with(short) || long.ends_with(short));
        let near = names().map(|known| (distance(known, name), known)).min();
        near.filter(|(edits, _)| *edits <= (name.len() / 3).clamp(1, 2))
            .map(|(_, known)| known)
            .or_else(|| names().find(|known| part(known, name) || part(name, known)))
    }
}

impl Entries {
    fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The token of an entry, if it is there.
    pub(crate) fn name(&self, name: &str) -> Option<Ident> {
        self.get(name).map(|entry| entry.name.clone())
    }

    /// Whether an unknown attribute was probably meant to be one of `names`.
    pub(crate) fn guessed(&self, names: &[&str]) -> bool {
        self.guesses.iter().any(|guess| names.contains(guess))
    }

    /// The value of an entry.
    pub(crate) fn expr(&self, name: &str) -> Option<&Expr> {
        match self.get(name)?.value.as_ref()? {
            Value::Expr(expr) => Some(expr),
            Value::List(_) => None,
        }
    }

    /// The value of an entry that is a string.
    pub(crate) fn string(&self, name: &str, errors: &mut Errors) -> Option<LitStr> {
        let expr = self.expr(name)?;
        let string = as_string(expr);
        if string.is_none() {
            errors.on(expr, format_args!("expected a string: `{name} = \"..\"`"));
        }
        string
    }

    /// The value of an entry that is a path, bare or in a string.
    pub(crate) fn path(&self, name: &str, errors: &mut Errors) -> Option<Path> {
        let expr = self.expr(name)?;
        if let Expr::Path(path) = expr
            && path.qself.is_none()
            && path.attrs.is_empty()
        {
            return Some(path.path.clone());
        }
        let path = as_string(expr).and_then(|string| string.parse_with(Path::parse_mod_style).ok());
        if path.is_none() {
            errors.on(expr, format_args!("expected a path: `{name} = path::to::subconscious`"));
        }
        path
    }
}

impl quote::ToTokens for Value {
    fn to_tokens(&self, tokens: &mut proc_macro2::TokenStream) {
        match self {
            Value::Expr(expr) => expr.to_tokens(tokens),
            Value::List(list) => list.to_tokens(tokens),
        }
    }
}

/// Reports `#[attribute(..)]` where it has no meaning and would be ignored silently.
pub(crate) fn misplaced(attrs: &[Attribute], attribute: &str, advice: &str, errors: &mut Errors) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(attribute)) {
        errors.on(attr, format_args!("`#[{attribute}(..)]` has no meaning here: {advice}"));
    }
}

fn as_string(expr: &Expr) -> Option<LitStr> {
    // A `$name:expr` or `$name:literal` of a macro_rules arrives in an invisible group.
    match expr {
        Expr::Group(group) => as_string(&group.expr),
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Some(string.clone()),
        _ => None,
    }
}

/// Reads one entry and the comma after it. If something is wrong, reports it and continues after
/// the next comma.
fn entry(input: ParseStream<'_>, errors: &mut Errors) -> Option<Entry> {
    // `parse_any` is needed because `crate` and `default` are keywords or may become keywords.
    let Ok(name) = input.call(Ident::parse_any) else {
        errors.at(input.span(), "expected the name of an attribute");
        skip_to_comma(input);
        return None;
    };
    let mut value = None;
    if input.peek(Token![=]) {
        let equals = input.parse::<Token![=]>().ok();
        let ahead = input.fork();
        match ahead.parse::<Expr>() {
            Ok(expr) => {
                input.advance_to(&ahead);
                value = Some(Value::Expr(Box::new(expr)));
            }
            Err(error) => {
                if input.is_empty() || input.peek(Token![,]) {
                    errors.at(equals.span(), format_args!("expected a value after `{name} =`"));
                } else {
                    errors.push(error);
                }
                skip_to_comma(input);
                return None;
            }
        }
    } else if input.peek(syn::token::Paren) {
        value = input.parse().ok().map(Value::List);
    }
    if input.is_empty() || input.parse::<Token![,]>().is_ok() {
        return Some(Entry { name, value });
    }
    errors.at(input.span(), "expected `,`");
    // In `index sort`, only the comma is missing. If no name follows, more is wrong.
    if !input.peek(Ident::peek_any) {
        skip_to_comma(input);
    }
    Some(Entry { name, value })
}

fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() {
        let comma = input.peek(Token![,]);
        // A token tree can always be read before the end of the input.
        let read = input.parse::<TokenTree>();
        if comma || read.is_err() {
            return;
        }
    }
}

/// The number of characters to insert, remove, replace or swap with the next to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.chars().collect::<Vec<_>>(), b.chars().collect::<Vec<_>>());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
