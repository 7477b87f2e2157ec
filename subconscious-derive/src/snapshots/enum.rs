#[automatically_derived]
#[allow(deprecated, clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)]
impl ::subconscious::__private::ColumnValue for Gender {
    const TYPE: &'static str = "enum";
    const KIND: ::subconscious::__private::Kind = ::subconscious::__private::Kind::Ordinal;
    fn encode(
        &self,
        out: &mut ::subconscious::__private::Vec<u8>,
    ) -> ::subconscious::__private::Result<(), ::subconscious::__private::ValueError> {
        let name: &str = match self {
            Self::Male => "male",
            Self::Female => "größer",
        };
        out.extend_from_slice(name.as_bytes());
        ::subconscious::__private::Ok(())
    }
    fn decode(
        stored: &[u8],
    ) -> ::subconscious::__private::Result<Self, ::subconscious::__private::ValueError> {
        match stored {
            b"male" => ::subconscious::__private::Ok(Self::Male),
            b"gr\xC3\xB6\xC3\x9Fer" => ::subconscious::__private::Ok(Self::Female),
            _ => {
                ::subconscious::__private::Err(
                    ::subconscious::__private::ValueError::unknown_variant(
                        stored,
                        &["male", "größer"],
                    ),
                )
            }
        }
    }
    fn ordinal(&self) -> u16 {
        match self {
            Self::Male => 0,
            Self::Female => 1,
        }
    }
}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::IndexValue for Gender {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::ElementValue for Gender {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::SortValue for Gender {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::KeyValue for Gender
where
    for<'clone> Gender: ::subconscious::__private::Clone,
{}
