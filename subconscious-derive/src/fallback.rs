//! Generates a stand-in for the code of an input with mistakes, so that uses of the type cause no
//! further errors.
//!
//! The stand-in never runs, since the mistakes fail the compile. It promises more than the input
//! asks for, such as an index on every column: a misspelt `index` must not also cause an error at
//! each filter. Its bodies are `loop {}`, which has every type and needs no name.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::ast::{Enum, Model};
use crate::expand;

/// The impl of `RedisModel`, without bodies. A generic type gets none: a stand-in is not worth the
/// work of putting its parameters in the right places.
pub(crate) fn model(model: &Model<'_>) -> TokenStream {
    if !model.input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let p = expand::private(&model.krate);
    let (ident, columns, id_type) = (model.ident, expand::columns_ident(model), expand::id_type(model));
    let columns_struct = expand::columns_struct(model, |field| {
        // A patch can set any column except the version, and only the version has `expected`.
        (true, true, field.version.is_some().then_some("Version"))
    });
    quote_spanned! {Span::mixed_site()=>
        #columns_struct

        #[automatically_derived]
        #[allow(unused)]
        impl #p::RedisModel for #ident {
            type Id = #id_type;
            type Columns = #columns;

            fn schema() -> &'static #p::ModelSchema {
                loop {}
            }

            fn columns() -> Self::Columns {
                loop {}
            }

            fn id(&self) -> Self::Id {
                loop {}
            }

            fn write(&self, record: &mut #p::RecordWriter) -> #p::Result<()> {
                loop {}
            }

            fn read(record: &mut #p::RecordReader<'_>) -> #p::Result<Self> {
                loop {}
            }
        }
    }
}

/// The impls of the column value traits, without bodies; none for a generic type.
pub(crate) fn column_enum(input: &Enum<'_>) -> TokenStream {
    if !input.input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let p = expand::private(&input.krate);
    let ident = input.ident;
    let markers = expand::column_enum_markers(&p, ident);
    let value = quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        #[allow(unused)]
        impl #p::ColumnValue for #ident {
            const TYPE: &'static str = "";
            const KIND: #p::Kind = #p::Kind::Ordinal;

            fn encode(&self, out: &mut #p::Vec<u8>) -> #p::Result<(), #p::ValueError> {
                loop {}
            }

            fn decode(stored: &[u8]) -> #p::Result<Self, #p::ValueError> {
                loop {}
            }
        }
    };
    quote!(#value #markers)
}
