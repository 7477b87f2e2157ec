//! Generates the code for a correct input: constants, and calls into the runtime.
//!
//! Code that puts a condition on a field's type has the span of that type or field, so that an
//! unfit type is reported there. Only the location of these spans is the user's. Names resolve at
//! the derive ([`Span::mixed_site`]); otherwise, a field from a `macro_rules` would bring a `self`
//! of its own.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;

use crate::ast::{Enum, Field, Model};

/// The impl of `RedisModel`, and the struct of columns.
pub(crate) fn model(model: &Model<'_>) -> TokenStream {
    let p = private(&model.krate);
    let (ident, name) = (model.ident, &model.name.text);
    let columns = columns_ident(model);
    let columns_struct = columns_struct(model, |field| (field.has_index(), field.sort.is_some(), role(field)));
    let schemas = model.columns().map(|field| column_schema(&p, field));
    let handles = model.columns().enumerate().map(|(at, field)| {
        let (column, at) = (field.ident, Literal::usize_unsuffixed(at));
        quote!(#column: #p::Column::new(#at))
    });
    let id_type = id_type(model);
    let id = id(&p, model);
    let writes = model.columns().map(|field| {
        let (column, ty) = (field.ident, column_type(&p, field));
        quote_spanned!(at(field)=> record.column::<#ty>(&self.#column)?;)
    });
    let reads = model.fields.iter().map(|field| read(&p, field));
    let set_automatic = set_automatic(&p, model);
    let lints = lints();
    let ttl = model.ttl.as_ref().map(|ttl| {
        let (milliseconds, renew) = (Literal::u64_unsuffixed(ttl.milliseconds), model.renew.is_some());
        quote!(.ttl(#milliseconds, #renew))
    });
    quote_spanned! {Span::mixed_site()=>
        #columns_struct

        #[automatically_derived]
        #lints
        impl #p::RedisModel for #ident {
            type Id = #id_type;
            type Columns = #columns;

            fn schema() -> &'static #p::ModelSchema {
                static SCHEMA: #p::LazyLock<#p::ModelSchema> =
                    #p::LazyLock::new(|| #p::ModelSchema::new(#name, #p::vec![#(#schemas),*]) #ttl);
                &SCHEMA
            }

            fn columns() -> Self::Columns {
                #columns { #(#handles),* }
            }

            fn id(&self) -> Self::Id {
                #id
            }

            fn write(&self, record: &mut #p::RecordWriter) -> #p::Result<()> {
                #(#writes)*
                #p::Ok(())
            }

            fn read(record: &mut #p::RecordReader<'_>) -> #p::Result<Self> {
                #p::Ok(Self { #(#reads),* })
            }

            #set_automatic
        }
    }
}

/// What a column can do: whether it has an index, whether it has an order, and its role in the
/// model, if it has a special one.
pub(crate) type Caps = (bool, bool, Option<&'static str>);

/// The struct of a model's columns, with what each of them can do.
pub(crate) fn columns_struct(model: &Model<'_>, caps: impl Fn(&Field<'_>) -> Caps) -> TokenStream {
    let p = private(&model.krate);
    let (ident, vis, columns) = (model.ident, model.vis, columns_ident(model));
    let fields = model.columns().map(|field| {
        let (column, ty) = (field.ident, &field.ty);
        let (index, sort, role) = caps(field);
        let role = role.map(|role| {
            let role = Ident::new(role, Span::mixed_site());
            quote!(, #p::#role)
        });
        let doc = format!(" The column `{}`.", field.name.text);
        quote! {
            #[doc = #doc]
            #vis #column: #p::Column<#ident, #ty, #p::Caps<#index, #sort #role>>
        }
    });
    let doc = format!(" The columns of [`{}`], to filter and order by.", ident.unraw());
    // The model's fields may be private and have private types, but their columns have the model's
    // visibility.
    quote! {
        #[doc = #doc]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #[allow(dead_code, deprecated, non_camel_case_types, non_snake_case, private_interfaces)]
        #[non_exhaustive]
        #vis struct #columns {
            #(#fields),*
        }
    }
}

fn role(field: &Field<'_>) -> Option<&'static str> {
    if field.is_key() {
        Some("Key")
    } else if field.unique.is_some() {
        Some("Unique")
    } else if field.version.is_some() {
        Some("Version")
    } else if field.is_automatic() {
        Some("Automatic")
    } else {
        None
    }
}

/// The type of the id. For a wrong input, it is `u64` if there is no key, and not a tuple if only
/// one field is marked as part of a composite key.
pub(crate) fn id_type(model: &Model<'_>) -> TokenStream {
    let key = model.key().map(|field| &field.ty).collect::<Vec<_>>();
    match (model.key().find(|field| field.primary_key.is_some()), key.as_slice()) {
        (Some(field), _) => field.ty.clone(),
        (None, []) => quote!(u64),
        (None, [only]) => quote!(#only),
        (None, key) => quote!((#(#key,)*)),
    }
}

/// `UserColumns` for `User`.
pub(crate) fn columns_ident(model: &Model<'_>) -> Ident {
    format_ident!("{}Columns", model.ident.unraw(), span = model.ident.span())
}

/// The module of the runtime that has everything that generated code names.
pub(crate) fn private(krate: &TokenStream) -> TokenStream {
    quote!(#krate::__private)
}

/// Switches off a user's lints for generated code. Lints that users often `forbid` are not in this
/// list, as nothing can then allow them: the generated code has to satisfy them.
pub(crate) fn lints() -> TokenStream {
    quote!(#[allow(deprecated, clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)])
}

/// A span at the location of a field's type, whose names resolve at the derive.
fn at(field: &Field<'_>) -> Span {
    field.ty.span().resolved_at(Span::mixed_site())
}

/// The type of a column, named through a trait that only types of columns have. All calls for a
/// column name its type in this way. If it can't be the type of a column, all calls have the same
/// error, which rustc prints once. A bound on each call would be reported for each call.
fn column_type(p: &TokenStream, field: &Field<'_>) -> TokenStream {
    let ty = &field.ty;
    // rustc marks everything from the first token to the last.
    let last = ty.clone().into_iter().last().map_or_else(Span::mixed_site, |token| token.span());
    let same = Ident::new("Same", last.resolved_at(Span::mixed_site()));
    quote_spanned!(at(field)=> <#ty as #p::IsColumn>::#same)
}

fn column_schema(p: &TokenStream, field: &Field<'_>) -> TokenStream {
    let (name, ty) = (&field.name.text, column_type(p, field));
    let abilities = [
        (field.is_key(), "key"),
        (field.has_index(), "index"),
        (field.sort.is_some(), "sort"),
        (field.unique.is_some(), "unique"),
        (field.auto_increment.is_some(), "auto_increment"),
        (field.version.is_some(), "version"),
        (field.created_at.is_some(), "created_at"),
        (field.updated_at.is_some(), "updated_at"),
        (field.expires_at.is_some(), "expires_at"),
    ];
    let abilities = abilities.into_iter().filter(|(has, _)| *has).map(|(_, method)| {
        let (method, ty) = (Ident::new(method, at(field)), &field.ty);
        quote_spanned!(at(field)=> .#method::<#ty>())
    });
    let default = default(p, field).map(|default| {
        let ty = column_type(p, field);
        quote_spanned!(at(field)=> .or(|| #p::stored::<#ty>(#default)))
    });
    quote_spanned!(at(field)=> #p::ColumnSchema::new::<#ty>(#name) #(#abilities)* #default)
}

fn id(p: &TokenStream, model: &Model<'_>) -> TokenStream {
    let clones = model.key().map(|field| {
        let (column, ty) = (field.ident, &field.ty);
        quote_spanned!(at(field)=> <#ty as #p::Clone>::clone(&self.#column))
    });
    if model.key().any(|field| field.primary_key.is_some()) { quote!(#(#clones)*) } else { quote!((#(#clones),*)) }
}

/// The value for a stored record that lacks the column, if the user gave one.
fn default(p: &TokenStream, field: &Field<'_>) -> Option<TokenStream> {
    let default = field.default.as_ref()?;
    Some(default.expr.as_ref().map_or_else(|| std_default(p, field), |expr| quote!(#expr)))
}

fn std_default(p: &TokenStream, field: &Field<'_>) -> TokenStream {
    let ty = &field.ty;
    quote_spanned!(at(field)=> <#ty as #p::Default>::default())
}

fn read(p: &TokenStream, field: &Field<'_>) -> TokenStream {
    let (column, column_type) = (field.ident, column_type(p, field));
    let value = match (&field.skip, default(p, field)) {
        (Some(_), Some(default)) => default,
        (Some(_), None) => std_default(p, field),
        (None, Some(default)) => quote_spanned!(at(field)=> record.column_or::<#column_type>(|| #default)?),
        (None, None) => quote_spanned!(at(field)=> record.column::<#column_type>()?),
    };
    quote!(#column: #value)
}

fn set_automatic(p: &TokenStream, model: &Model<'_>) -> Option<TokenStream> {
    let columns = model.columns().filter(|field| field.is_automatic()).collect::<Vec<_>>();
    if columns.is_empty() {
        return None;
    }
    let reads = columns.into_iter().map(|field| {
        let (column, ty) = (field.ident, column_type(p, field));
        quote_spanned!(at(field)=> self.#column = values.column::<#ty>()?;)
    });
    Some(quote_spanned! {Span::mixed_site()=>
        fn set_automatic(&mut self, values: &mut #p::RecordReader<'_>) -> #p::Result<()> {
            #(#reads)*
            #p::Ok(())
        }
    })
}

/// The impls of the column value traits for an enum.
pub(crate) fn column_enum(input: &Enum<'_>) -> TokenStream {
    let p = private(&input.krate);
    let ident = input.ident;
    let variants = input.named().map(|variant| variant.ident).collect::<Vec<_>>();
    let names = input.named().map(|variant| &variant.name.text).collect::<Vec<_>>();
    let bytes = names.iter().map(|name| Literal::byte_string(name.as_bytes()));
    let ordinals = (0..variants.len()).map(Literal::usize_unsuffixed).collect::<Vec<_>>();
    let mixed = Span::mixed_site();
    let (encode_other, decode_other, ordinal_of_other) = match input.other().map(|other| (other.ident, other.field())) {
        None => {
            let unknown = quote_spanned!(mixed=> #p::Err(#p::ValueError::unknown_variant(stored, &[#(#names),*])));
            (None, unknown, None)
        }
        Some((other, None)) => {
            let name = other.unraw().to_string();
            (
                Some(quote_spanned!(mixed=> Self::#other => return #p::Err(#p::ValueError::other_variant(#name)),)),
                quote_spanned!(mixed=> #p::Ok(Self::#other)),
                Some(quote_spanned!(mixed=> Self::#other => #p::OTHER,)),
            )
        }
        Some((other, Some(ty))) => {
            // Both name the type in the same way, so that a type that does not fit causes one
            // error.
            let at = ty.span().resolved_at(mixed);
            let text = quote_spanned!(at=> <#ty as #p::OtherValue>::text(text));
            let read = quote_spanned!(at=> <#ty as #p::OtherValue>::read(stored));
            (
                Some(quote_spanned!(mixed=> Self::#other(text) => #text,)),
                quote_spanned!(mixed=> #read.map(Self::#other)),
                // The text may be the name of a variant, and then has the ordinal of that variant.
                Some(quote_spanned! {mixed=>
                    Self::#other(text) => match #text {
                        #(#names => #ordinals,)*
                        _ => #p::OTHER,
                    },
                }),
            )
        }
    };
    let markers = column_enum_markers(&p, ident);
    let lints = lints();
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        #lints
        impl #p::ColumnValue for #ident {
            const TYPE: &'static str = "enum";
            const KIND: #p::Kind = #p::Kind::Ordinal;

            fn encode(&self, out: &mut #p::Vec<u8>) -> #p::Result<(), #p::ValueError> {
                let name: &str = match self {
                    #(Self::#variants => #names,)*
                    #encode_other
                };
                out.extend_from_slice(name.as_bytes());
                #p::Ok(())
            }

            fn decode(stored: &[u8]) -> #p::Result<Self, #p::ValueError> {
                match stored {
                    #(#bytes => #p::Ok(Self::#variants),)*
                    _ => #decode_other,
                }
            }

            fn ordinal(&self) -> u16 {
                match self {
                    #(Self::#variants => #ordinals,)*
                    #ordinal_of_other
                }
            }
        }

        #markers
    }
}

/// The traits that say what a column of the enum may have. Only an enum that is `Clone` can be a
/// key. The `for` defers that condition: without it, the error would be here instead of at the key.
pub(crate) fn column_enum_markers(p: &TokenStream, ident: &Ident) -> TokenStream {
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #p::IndexValue for #ident {}
        #[automatically_derived]
        #[allow(deprecated)]
        impl #p::ElementValue for #ident {}
        #[automatically_derived]
        #[allow(deprecated)]
        impl #p::SortValue for #ident {}
        #[automatically_derived]
        #[allow(deprecated)]
        impl #p::KeyValue for #ident where for<'clone> #ident: #p::Clone {}
    }
}
