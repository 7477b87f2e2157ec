//! Collects every mistake of a derive's input, so that the user sees them all in one compile.

use proc_macro2::Span;
use quote::ToTokens;

/// The mistakes found so far.
///
/// [`Errors::finish`] must be called: a forgotten collector would let code with a mistake compile.
/// In debug builds, its drop checks this.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    first: Option<syn::Error>,
    finished: bool,
}

impl Errors {
    /// Adds a mistake on one token.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Adds a mistake on all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds a mistake that syn found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.first {
            Some(first) => first.combine(error),
            None => self.first = Some(error),
        }
    }

    /// All mistakes as one error.
    pub(crate) fn finish(mut self) -> syn::Result<()> {
        self.finished = true;
        self.first.take().map_or(Ok(()), Err)
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        debug_assert!(self.finished || std::thread::panicking(), "errors were collected and never reported");
    }
}
