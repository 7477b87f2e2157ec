//! The derives of `subconscious`. Use them through that crate, which re-exports them and pins the
//! version of this one.
//!
//! The steps never mix. `attr` and `ast` read the input into a form that keeps every span, `check`
//! applies the rules that cross attributes and fields, and `expand` generates the code. All
//! mistakes of an input are reported at once (`errors`). Then `fallback` generates code that lets
//! the uses of the type compile, so that the user reads our messages and not the errors that follow
//! from them.
//!
//! The generated code consists of constants and of calls into `subconscious::__private`; anything
//! more belongs in the runtime. `src/snapshots` has examples of it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

use crate::errors::Errors;

mod ast;
mod attr;
mod case;
mod check;
mod duration;
mod errors;
mod expand;
mod fallback;
#[cfg(test)]
mod tests;

/// Makes a struct with named fields a model: its records are hashes in Redis, and its fields are
/// columns. The struct can't be generic.
///
/// ```ignore
/// #[derive(RedisModel)]
/// struct User {
///     #[column(primary_key)]
///     uuid: Uuid,
///     name: String,             // always there
///     nickname: Option<String>, // may be null
///     #[column(index, sort)]
///     age: u8,
/// }
/// ```
///
/// Besides the impl of `RedisModel` for `User`, it generates the struct `UserColumns`, which has
/// the visibility of `User` and a field for each column. The closures of queries and patches
/// receive an instance of it: `User::filter_by(|u| u.age.ge(18))`.
///
/// `#[model(..)]` on the struct:
///
/// | | |
/// | --- | --- |
/// | `name = ".."` | the first part of the model's keys; the struct's name by default |
/// | `ttl = ".."` | how long a record lives after its first save: `"90s"`, `"1h 30m"`; the units are `w`, `d`, `h`, `m`, `s` and `ms`; excludes `expires_at` |
/// | `renew` | each save, update and patch restarts the `ttl` |
/// | `crate = path` | the path of `subconscious`, if another crate re-exports it |
///
/// `#[column(..)]` on a field:
///
/// | | |
/// | --- | --- |
/// | `primary_key` | the field is the id |
/// | `composite_key` | the field is a part of the id, which is the tuple of the two to six fields with this attribute, in declared order; the field also has an `index` |
/// | `auto_increment` | an integer of at least 16 bits that Redis assigns at the first save; 0 means not yet assigned |
/// | `index` | the column can be filtered by equality and counted by; a `Vec` or `BTreeSet` by what it contains |
/// | `sort` | the column can be ordered by and filtered by range |
/// | `unique` | no two records have the same value, but any number may have null; the column can be filtered by equality even without `index` |
/// | `version` | an integer, not an `Option`, that counts the saves and patches of a record from 1; a save of another version than the stored one is a conflict; a record that is deleted and inserted again starts at 1 |
/// | `created_at` | Redis' time of the first save |
/// | `updated_at` | Redis' time of the last save or patch |
/// | `expires_at` | the record lives until this time, rounded up to milliseconds, or for ever if it is `None` |
/// | `rename = ".."` | the name in the stored record; the field's name by default |
/// | `default`, `default = expr` | the value if a stored record lacks the column: `Default::default()` or `expr`, which has the field's type; not for an `Option`, which is then null |
/// | `skip` | the field is not stored; reading a record sets it to what `default` says, or to `Default::default()` |
///
/// The field of a time is a `SystemTime`, a date with time of `chrono`, `time` or `jiff`, an `i64`
/// or `u64` that counts milliseconds since 1970, or an `Option` of one of these. If a record was
/// stored before the model had a column that Redis fills, the column is 0 (for a time: the
/// beginning of 1970), or null in an `Option`, until a save or patch fills it.
///
/// `auto_increment`, `unique`, `version`, `created_at`, `updated_at` and `expires_at` exclude each
/// other on one field. A `primary_key` may have `auto_increment`; otherwise a key has none of
/// these, and no `default`. A `primary_key` has an index only if an attribute gives it one.
///
/// # Errors
///
/// Every mistake is a compile error on the token that is wrong, and all of them are reported at
/// once.
#[proc_macro_derive(RedisModel, attributes(model, column))]
pub fn redis_model(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    model(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an enum the type of a column. Its variants have no fields, except for a variant with
/// `other`. The name of the variant is stored.
///
/// ```ignore
/// #[derive(ColumnEnum)]
/// #[column(rename_all = "lowercase")]
/// enum Gender {
///     Male,
///     #[column(rename = "f")]
///     Female,
/// }
/// ```
///
/// `#[column(..)]` on the enum:
///
/// | | |
/// | --- | --- |
/// | `rename_all = ".."` | how a variant's name is stored: `"lowercase"`, `"UPPERCASE"`, `"PascalCase"`, `"camelCase"`, `"snake_case"`, `"SCREAMING_SNAKE_CASE"`, `"kebab-case"` or `"SCREAMING-KEBAB-CASE"`; words are split as serde does |
/// | `crate = path` | the path of `subconscious`, if another crate re-exports it |
///
/// `#[column(..)]` on a variant:
///
/// | | |
/// | --- | --- |
/// | `rename = ".."` | the variant's stored name, whatever the enum's `rename_all` is |
/// | `other` | the variant stands for all stored texts that are the name of no other variant, such as those of a newer version of the program; at most one variant has it |
///
/// Without a variant with `other`, a record with such a text can't be read. With
/// `#[column(other)] Other(String)`, it can be read, and the text is kept: it is written as it was,
/// found by `eq(Gender::Other("x".into()))`, and counted by itself. A text that is the name of a
/// variant is read as that variant.
///
/// With `#[column(other)] Unknown`, a variant without a field, the record can be read and its other
/// columns can be patched, but a save is refused, as the text would be lost.
///
/// A column with `sort` has the order in which the variants are declared. If a variant is moved, or
/// added between others, the order of stored records changes; if it is added at the end, the order
/// stays. Values that are no named variant come after all others, and are equal in the order. An
/// enum that is a key must be `Clone`.
///
/// # Errors
///
/// Every mistake is a compile error on the token that is wrong, and all of them are reported at
/// once.
#[proc_macro_derive(ColumnEnum, attributes(column))]
pub fn column_enum(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    enumeration(&parse_macro_input!(input as DeriveInput)).into()
}

fn model(input: &DeriveInput) -> TokenStream {
    let (model, checked) = read_model(input);
    match checked {
        Ok(()) => expand::model(&model),
        Err(error) => with_messages(&error, &fallback::model(&model)),
    }
}

fn read_model(input: &DeriveInput) -> (ast::Model<'_>, syn::Result<()>) {
    let mut errors = Errors::default();
    let model = ast::Model::read(input, &mut errors);
    check::model(&model, &mut errors);
    (model, errors.finish())
}

fn enumeration(input: &DeriveInput) -> TokenStream {
    let (read, checked) = read_enumeration(input);
    match checked {
        Ok(()) => expand::column_enum(&read),
        Err(error) => with_messages(&error, &fallback::column_enum(&read)),
    }
}

fn read_enumeration(input: &DeriveInput) -> (ast::Enum<'_>, syn::Result<()>) {
    let mut errors = Errors::default();
    let read = ast::Enum::read(input, &mut errors);
    check::column_enum(&read, &mut errors);
    (read, errors.finish())
}

fn with_messages(error: &syn::Error, stub: &TokenStream) -> TokenStream {
    let messages = error.to_compile_error();
    quote!(#messages #stub)
}
