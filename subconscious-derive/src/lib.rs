//! The derives of `subconscious`. Use them from that crate, which re-exports them and pins this one.
//!
//! The steps never mix: `attr` and `ast` read the input into a form that keeps every span, `check` knows the rules
//! that cross attributes and fields, `expand` writes the code. All mistakes of an input are reported at once
//! (`errors`), and then `fallback` writes code that lets the uses of the type compile, so that the user reads our
//! messages and not those that follow from them.
//!
//! The generated code is constants and calls into `subconscious::__private`; what needs more belongs into the
//! runtime. `src/snapshots` has what it looks like.

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

/// Makes a struct with named fields a model: its records are hashes in Redis and its fields are columns.
///
/// ```ignore
/// #[derive(RedisModel)]
/// struct User {
///     #[column(primary_key)]
///     uuid: Uuid,
///     name: String,
///     #[column(index, sort)]
///     age: u8,
/// }
/// ```
///
/// Besides `RedisModel` for `User` it writes the struct `UserColumns`, with the visibility of `User` and a field per column, of
/// which a query's closures get an instance: `User::filter_by(|u| u.age.ge(18))`.
///
/// `#[model(..)]` on the struct:
///
/// | | |
/// | --- | --- |
/// | `name = ".."` | the first part of the model's keys; the struct's name by default |
/// | `ttl = ".."` | how long a record lives after its first save: `"90s"`, `"1h 30m"`; the units are `w`, `d`, `h`, `m`, `s` and `ms` |
/// | `renew` | each save, update and patch starts the `ttl` anew |
/// | `crate = path` | where `subconscious` is, if another crate re-exports it |
///
/// `#[column(..)]` on a field:
///
/// | | |
/// | --- | --- |
/// | `primary_key` | the field is the id |
/// | `composite_key` | the field is a part of the id, a tuple in declared order of the two or more fields with this; it is indexed, too |
/// | `auto_increment` | Redis assigns the value at the first save; 0 means not yet assigned |
/// | `index` | can be filtered by equality; a `Vec` or `BTreeSet` by what it contains |
/// | `sort` | can be ordered by and filtered by range |
/// | `unique` | no two records have the same value, but any number have null; can be filtered by equality without `index`, too |
/// | `version` | an integer that counts the record's writes from 1; a save of another version than the stored one is a conflict; a record that is deleted and inserted anew begins at 1 again |
/// | `created_at` | Redis' time of the first save |
/// | `updated_at` | Redis' time of the last write |
/// | `expires_at` | the record lives until then, or for ever if it is `None` |
/// | `rename = ".."` | the name in the stored record; the field's by default |
/// | `default`, `default = expr` | the value where a stored record lacks the column; `expr` has the field's type, which is no `Option`: a nullable column is null there |
/// | `skip` | not stored; reading gives the `default` |
///
/// A time is a `SystemTime`, a type of chrono, time or jiff that is a point in time, or an integer that counts milliseconds since 1970.
///
/// # Errors
///
/// Every mistake is a compile error on the token that is wrong, and all of them are reported at once.
#[proc_macro_derive(RedisModel, attributes(model, column))]
pub fn redis_model(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    model(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an enum of unit variants the type of a column. Stored is the name of the variant.
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
/// | `rename_all = ".."` | how a variant's name is stored: `"lowercase"`, `"UPPERCASE"`, `"PascalCase"`, `"camelCase"`, `"snake_case"`, `"SCREAMING_SNAKE_CASE"`, `"kebab-case"` or `"SCREAMING-KEBAB-CASE"`, with the words that serde finds |
/// | `crate = path` | where `subconscious` is, if another crate re-exports it |
///
/// On a variant, `rename = ".."` is its stored name whatever the enum's `rename_all`.
///
/// The order of a column with `sort` is the order in which the variants are declared, so a variant that is moved or put
/// between others changes the order of stored records; one at the end does not. An enum that is a key has to be `Clone`.
///
/// # Errors
///
/// Every mistake is a compile error on the token that is wrong, and all of them are reported at once.
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
