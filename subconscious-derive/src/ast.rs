//! The input of the derives, for the later steps: names are resolved, attributes are read, and
//! every part has its span.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Expr, Fields, Ident, LitStr, Type, Visibility};

use crate::attr::{self, Entries};
use crate::case::{CASES, Case};
use crate::duration;
use crate::errors::Errors;

/// A name as it is stored in Redis, and where the user wrote it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// The input of `RedisModel`.
pub(crate) struct Model<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) input: &'a DeriveInput,
    /// The path of the runtime crate.
    pub(crate) krate: TokenStream,
    pub(crate) name: Stored,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) renew: Option<Ident>,
    /// All named fields, including the skipped ones; empty if the input is not a struct with named
    /// fields.
    pub(crate) fields: Vec<Field<'a>>,
    /// Whether the input is a struct with named fields.
    pub(crate) is_record: bool,
}

/// `ttl = ".."`.
pub(crate) struct Ttl {
    pub(crate) token: Ident,
    pub(crate) milliseconds: u64,
}

/// A field of a model. An attribute without a value is kept as its token.
pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    /// The type, with `Self` replaced by the model's name: the type also appears where `Self` is
    /// another type.
    pub(crate) ty: TokenStream,
    pub(crate) name: Stored,
    pub(crate) primary_key: Option<Ident>,
    pub(crate) composite_key: Option<Ident>,
    pub(crate) auto_increment: Option<Ident>,
    pub(crate) index: Option<Ident>,
    pub(crate) sort: Option<Ident>,
    pub(crate) unique: Option<Ident>,
    pub(crate) version: Option<Ident>,
    pub(crate) created_at: Option<Ident>,
    pub(crate) updated_at: Option<Ident>,
    pub(crate) expires_at: Option<Ident>,
    pub(crate) rename: Option<Ident>,
    pub(crate) default: Option<Default>,
    pub(crate) skip: Option<Ident>,
    /// Whether an unknown attribute was probably meant to be a key.
    pub(crate) key_misspelt: bool,
}

/// `default` or `default = expr`.
pub(crate) struct Default {
    pub(crate) token: Ident,
    pub(crate) expr: Option<Expr>,
}

/// The input of `ColumnEnum`.
pub(crate) struct Enum<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) input: &'a DeriveInput,
    pub(crate) krate: TokenStream,
    pub(crate) variants: Vec<Variant<'a>>,
}

/// A variant of an enum.
pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) fields: &'a Fields,
    pub(crate) name: Stored,
    pub(crate) rename: Option<Ident>,
    /// The token of `other`, if the variant stands for all values that are no other variant's.
    pub(crate) other: Option<Ident>,
}

impl<'a> Model<'a> {
    pub(crate) fn read(input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let entries = attr::MODEL.read(&input.attrs, errors);
        attr::misplaced(&input.attrs, "column", "it belongs on a field, the model has `#[model(..)]`", errors);
        let named = match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(fields) => Some(&fields.named),
                _ => None,
            },
            _ => None,
        };
        Self {
            ident: &input.ident,
            vis: &input.vis,
            input,
            krate: runtime(&entries, errors),
            name: Stored::new(&input.ident, entries.string("name", errors)),
            ttl: entries.name("ttl").map(|token| Ttl { token, milliseconds: lifetime(&entries, errors) }),
            renew: entries.name("renew"),
            fields: named
                .into_iter()
                .flatten()
                .filter_map(|field| Some(Field::read(field, field.ident.as_ref()?, &input.ident, errors)))
                .collect(),
            is_record: named.is_some(),
        }
    }

    /// The fields that are columns, in declared order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter().filter(|field| field.skip.is_none())
    }

    /// The fields that make up the id, in declared order.
    pub(crate) fn key(&self) -> impl Iterator<Item = &Field<'a>> {
        self.columns().filter(|field| field.is_key())
    }
}

impl<'a> Field<'a> {
    fn read(field: &'a syn::Field, ident: &'a Ident, model: &Ident, errors: &mut Errors) -> Self {
        attr::misplaced(&field.attrs, "model", "it belongs on the struct, a field has `#[column(..)]`", errors);
        let entries = attr::COLUMN.read(&field.attrs, errors);
        Self {
            ident,
            ty: without_self(field.ty.to_token_stream(), model),
            name: Stored::new(ident, entries.string("rename", errors)),
            primary_key: entries.name("primary_key"),
            composite_key: entries.name("composite_key"),
            auto_increment: entries.name("auto_increment"),
            index: entries.name("index"),
            sort: entries.name("sort"),
            unique: entries.name("unique"),
            version: entries.name("version"),
            created_at: entries.name("created_at"),
            updated_at: entries.name("updated_at"),
            expires_at: entries.name("expires_at"),
            rename: entries.name("rename"),
            default: entries.name("default").map(|token| Default { token, expr: entries.expr("default").cloned() }),
            skip: entries.name("skip"),
            key_misspelt: entries.guessed(&["primary_key", "composite_key"]),
        }
    }

    pub(crate) fn is_key(&self) -> bool {
        self.primary_key.is_some() || self.composite_key.is_some()
    }

    /// The attributes that exclude each other.
    pub(crate) fn specials(&self) -> impl Iterator<Item = &Ident> {
        [&self.auto_increment, &self.unique, &self.version, &self.created_at, &self.updated_at, &self.expires_at]
            .into_iter()
            .flatten()
    }

    /// Whether Redis assigns the column's value.
    pub(crate) fn is_automatic(&self) -> bool {
        self.auto_increment.is_some()
            || self.version.is_some()
            || self.created_at.is_some()
            || self.updated_at.is_some()
    }

    /// Whether the column has containers: it is given an index, or is a part of a composite key.
    pub(crate) fn has_index(&self) -> bool {
        self.index.is_some() || self.composite_key.is_some()
    }
}

impl<'a> Enum<'a> {
    /// The variants that are stored by their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Variant<'a>> {
        self.variants.iter().filter(|variant| variant.other.is_none())
    }

    /// The variant for all other values.
    pub(crate) fn other(&self) -> Option<&Variant<'a>> {
        self.variants.iter().find(|variant| variant.other.is_some())
    }

    pub(crate) fn read(input: &'a DeriveInput, errors: &mut Errors) -> Self {
        let entries = attr::ENUM.read(&input.attrs, errors);
        let case = entries.string("rename_all", errors).and_then(|wanted| {
            let case = Case::find(&wanted.value());
            if case.is_none() {
                let names = CASES.map(|case| format!("\"{}\"", case.name)).join(", ");
                errors.on(&wanted, format_args!("unknown case {}\nvalid are: {names}", wanted.token()));
            }
            case
        });
        let variants = match &input.data {
            Data::Enum(data) => {
                data.variants.iter().map(|variant| Variant::read(variant, case, errors)).collect::<Vec<_>>()
            }
            _ => Vec::new(),
        };
        Self { ident: &input.ident, input, krate: runtime(&entries, errors), variants }
    }
}

impl<'a> Variant<'a> {
    /// The type of the variant's only field, if it has one.
    pub(crate) fn field(&self) -> Option<&'a Type> {
        match self.fields {
            Fields::Unnamed(fields) => fields.unnamed.first().map(|field| &field.ty),
            _ => None,
        }
    }

    fn read(variant: &'a syn::Variant, case: Option<Case>, errors: &mut Errors) -> Self {
        attr::misplaced(&variant.attrs, "model", "a variant has `#[column(..)]`", errors);
        let entries = attr::VARIANT.read(&variant.attrs, errors);
        let mut name = Stored::new(&variant.ident, None);
        if let Some(case) = case {
            name.text = case.apply(&name.text);
        }
        if let Some(rename) = entries.string("rename", errors) {
            name = Stored::new(&variant.ident, Some(rename));
        }
        let (rename, other) = (entries.name("rename"), entries.name("other"));
        Self { ident: &variant.ident, fields: &variant.fields, name, rename, other }
    }
}

impl Stored {
    fn new(ident: &Ident, rename: Option<LitStr>) -> Self {
        match rename {
            Some(rename) => Self { text: rename.value(), span: rename.span() },
            None => Self { text: ident.unraw().to_string(), span: ident.span() },
        }
    }
}

/// The path of the runtime crate. The leading `::` of the default keeps it apart from a user's own
/// module with the same name.
fn runtime(entries: &Entries, errors: &mut Errors) -> TokenStream {
    match entries.path("crate", errors) {
        Some(path) => path.into_token_stream(),
        None => quote!(::subconscious),
    }
}

/// The milliseconds of a `ttl`. A malformed `ttl` is reported, and any number is returned for it.
fn lifetime(entries: &Entries, errors: &mut Errors) -> u64 {
    let Some(literal) = entries.string("ttl", errors) else { return 1 };
    duration::milliseconds(&literal.value()).unwrap_or_else(|message| {
        errors.on(&literal, message);
        1
    })
}

/// Replaces `Self` by the model's name. `Self` may appear within a field's type, as in
/// `Json<Vec<Self>>`.
fn without_self(tokens: TokenStream, model: &Ident) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident == "Self" => {
                let mut model = model.clone();
                model.set_span(ident.span());
                TokenTree::Ident(model)
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_self(group.stream(), model));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            token => token,
        })
        .collect()
}
