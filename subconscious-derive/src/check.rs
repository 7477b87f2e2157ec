//! The rules about names, the shape of the input, and attributes that do not go together. Rules
//! about types are not here: the macro sees
//! the name of a type, not the type, so they are trait bounds in the generated code.

use std::collections::HashMap;

use syn::{Data, DeriveInput, Fields, GenericParam, Ident};

use crate::ast::{Enum, Field, Model, Stored};
use crate::errors::Errors;

pub(crate) fn model(model: &Model<'_>, errors: &mut Errors) {
    shape(model, errors);
    generics(model.input, "a model", errors);
    model_name(&model.name, errors);
    if model.is_record {
        keys(model, errors);
        lifetime(model, errors);
    }
    one_each(model, errors);
    for field in &model.fields {
        combinations(field, errors);
    }
    let mut fields = HashMap::new();
    for field in model.columns() {
        column_name(&field.name, errors);
        if let Some(first) = fields.insert(&field.name.text, field.ident) {
            let name = &field.name.text;
            errors.at(
                field.name.span,
                format_args!("two columns are stored as `{name}`, the other is the field `{first}`"),
            );
        }
    }
}

pub(crate) fn column_enum(input: &Enum<'_>, errors: &mut Errors) {
    generics(input.input, "an enum of a column", errors);
    match &input.input.data {
        Data::Enum(_) if input.variants.is_empty() => {
            errors.on(input.ident, "an enum without variants has no value to store");
        }
        Data::Enum(_) => {}
        Data::Struct(data) => errors.on(data.struct_token, "`ColumnEnum` is for enums, this is a struct"),
        Data::Union(data) => errors.on(data.union_token, "`ColumnEnum` is for enums, this is a union"),
    }
    let others = input.variants.iter().filter_map(|variant| Some((variant, variant.other.as_ref()?)));
    for (at, (variant, other)) in others.enumerate() {
        if at > 0 {
            errors.on(other, "a second `other`: one variant stands for all values that are no other's");
        }
        if let Some(rename) = &variant.rename {
            errors.on(
                rename,
                "`other` excludes `rename`: the variant stands for other values and has no name of its own",
            );
        }
        let fits = match variant.fields {
            Fields::Unit => true,
            Fields::Unnamed(fields) => fields.unnamed.len() == 1,
            Fields::Named(_) => false,
        };
        if !fits {
            let ident = variant.ident;
            errors.on(
                variant.fields,
                format_args!(
                    "the variant with `other` holds the stored text, `{ident}(String)`, or nothing, `{ident}`"
                ),
            );
        }
    }
    if let (Some(other), None) = (input.other(), input.named().next()) {
        errors.on(&other.other, "an enum of nothing but `other` knows no value: use a `String`");
    }
    let mut variants = HashMap::new();
    for variant in input.named() {
        if !matches!(variant.fields, Fields::Unit) {
            errors.on(
                variant.fields,
                "a variant of a column's enum has no fields: only its name is stored; one with `#[column(other)]` may hold other texts",
            );
        }
        if let Some(first) = variants.insert(&variant.name.text, variant.ident) {
            let name = &variant.name.text;
            errors.at(variant.name.span, format_args!("two variants are stored as `{name}`, the other is `{first}`"));
        }
    }
}

fn shape(model: &Model<'_>, errors: &mut Errors) {
    let ident = model.ident;
    match &model.input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(_) => {}
            Fields::Unnamed(fields) => {
                errors.on(fields, format_args!("a model needs named fields: `struct {ident} {{ .. }}`"));
            }
            Fields::Unit => errors.on(ident, format_args!("a model needs named fields: `struct {ident} {{ .. }}`")),
        },
        Data::Enum(data) => {
            errors.on(data.enum_token, "a model is a struct; an enum as the type of a column derives `ColumnEnum`");
        }
        Data::Union(data) => errors.on(data.union_token, "a model is a struct"),
    }
}

fn generics(input: &DeriveInput, what: &str, errors: &mut Errors) {
    if input.generics.params.iter().any(|parameter| matches!(parameter, GenericParam::Lifetime(_))) {
        let owned = "it owns its data: `String` for `&str`, `Vec<u8>` for `&[u8]`";
        errors.on(&input.generics, format_args!("{what} borrows nothing; {owned}"));
    } else if !input.generics.params.is_empty() {
        errors.on(&input.generics, format_args!("{what} cannot be generic; write a type in place of the parameter"));
    }
}

fn model_name(name: &Stored, errors: &mut Errors) {
    let refused = |char: &char| matches!(char, '{' | '}' | ':') || char.is_control();
    if name.text.is_empty() {
        errors.at(name.span, "the name of a model cannot be empty");
    } else if let Some(char) = name.text.chars().find(refused) {
        errors.at(name.span, format_args!("the name of a model cannot contain {char:?}"));
    }
}

fn column_name(name: &Stored, errors: &mut Errors) {
    if name.text.is_empty() {
        errors.at(name.span, "the stored name of a column cannot be empty");
    } else if name.text.starts_with('#') {
        errors.at(name.span, "the stored name of a column cannot start with `#`, which marks the row number");
    } else if name.text.contains(':') {
        errors.at(name.span, "the stored name of a column cannot contain `:`, which separates the parts of a key");
    }
}

/// Checks that a model has one `primary_key`, or two or more `composite_key`.
fn keys(model: &Model<'_>, errors: &mut Errors) {
    let tokens = |of: fn(&Field<'_>) -> Option<Ident>| model.fields.iter().filter_map(of).collect::<Vec<_>>();
    let primary = tokens(|field| field.primary_key.clone());
    let composite = tokens(|field| field.composite_key.clone());
    let misspelt = model.fields.iter().any(|field| field.key_misspelt);
    for second in primary.iter().skip(1) {
        errors.on(
            second,
            "a second `primary_key`: a model has one; mark each column of a key of several with `composite_key`",
        );
    }
    match (&primary[..], &composite[..]) {
        ([], []) if !misspelt => errors.on(
            model.ident,
            format_args!(
                "`{}` has no key: mark one field with `#[column(primary_key)]`, or two or more with `#[column(composite_key)]`",
                model.ident
            ),
        ),
        ([], [lone]) if !misspelt => errors.on(
            lone,
            "a lone `composite_key`: mark two or more columns with it, or this one with `primary_key`",
        ),
        ([_, ..], [_, ..]) => {
            for token in &composite {
                errors.on(token, "both kinds of key: a model has one `primary_key`, or two or more `composite_key`");
            }
        }
        _ => {}
    }
}

/// Checks that a model has at most one version, and at most one time of each kind.
fn one_each(model: &Model<'_>, errors: &mut Errors) {
    let kinds: [fn(&Field<'_>) -> Option<Ident>; 4] = [
        |field| field.version.clone(),
        |field| field.created_at.clone(),
        |field| field.updated_at.clone(),
        |field| field.expires_at.clone(),
    ];
    for of in kinds {
        for second in model.fields.iter().filter_map(of).skip(1) {
            errors.on(&second, format_args!("a second `{second}`: a model has one"));
        }
    }
}

/// Checks the attributes that say how long records live.
fn lifetime(model: &Model<'_>, errors: &mut Errors) {
    if let (Some(renew), None) = (&model.renew, &model.ttl) {
        errors.on(renew, "`renew` has no meaning without `ttl`");
    }
    if let (Some(ttl), Some(field)) = (&model.ttl, model.fields.iter().find(|field| field.expires_at.is_some())) {
        let column = field.ident;
        errors.on(
            &ttl.token,
            format_args!("`ttl` excludes `expires_at`: the column `{column}` says how long a record lives"),
        );
    }
}

/// Checks the attributes of one field that exclude each other.
fn combinations(field: &Field<'_>, errors: &mut Errors) {
    let key = field.primary_key.as_ref().or(field.composite_key.as_ref());
    if let Some(skip) = &field.skip {
        if let Some(key) = key {
            errors.on(skip, format_args!("a key is stored: `{key}` excludes `skip`"));
        }
        let others = [&field.index, &field.sort, &field.rename].into_iter().flatten();
        for other in field.specials().chain(others) {
            errors
                .on(other, format_args!("`skip` leaves the field out of the record, so that `{other}` has no meaning"));
        }
    }
    if let (Some(key), Some(default)) = (key, &field.default) {
        errors.on(&default.token, format_args!("`{key}` excludes `default`: no stored record lacks its key"));
    }
    if let (Some(_), Some(automatic)) = (&field.composite_key, &field.auto_increment) {
        errors.on(automatic, "`composite_key` excludes `auto_increment`: only a whole key can be assigned");
    }
    if let Some(key) = key {
        if let Some(unique) = &field.unique {
            errors.on(unique, format_args!("`{key}` excludes `unique`: a key is unique"));
        }
        for other in [&field.version, &field.created_at, &field.updated_at, &field.expires_at].into_iter().flatten() {
            errors
                .on(other, format_args!("`{key}` excludes `{other}`: a key is given by the program and never changes"));
        }
        return;
    }
    let mut specials = field.specials();
    if let Some(first) = specials.next() {
        for other in specials {
            errors.on(other, format_args!("`{first}` and `{other}` exclude each other"));
        }
    }
    for column in [&field.version, &field.expires_at].into_iter().flatten() {
        if let Some(default) = &field.default {
            errors.on(&default.token, format_args!("`{column}` excludes `default`"));
        }
    }
}
