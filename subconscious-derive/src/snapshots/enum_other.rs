#[automatically_derived]
#[allow(deprecated, clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)]
impl ::subconscious::__private::ColumnValue for Status {
    const TYPE: &'static str = "enum";
    const KIND: ::subconscious::__private::Kind = ::subconscious::__private::Kind::Ordinal;
    fn encode(
        &self,
        out: &mut ::subconscious::__private::Vec<u8>,
    ) -> ::subconscious::__private::Result<(), ::subconscious::__private::ValueError> {
        let name: &str = match self {
            Self::Open => "Open",
            Self::Closed => "Closed",
            Self::Other(text) => {
                <String as ::subconscious::__private::OtherValue>::text(text)
            }
        };
        out.extend_from_slice(name.as_bytes());
        ::subconscious::__private::Ok(())
    }
    fn decode(
        stored: &[u8],
    ) -> ::subconscious::__private::Result<Self, ::subconscious::__private::ValueError> {
        match stored {
            b"Open" => ::subconscious::__private::Ok(Self::Open),
            b"Closed" => ::subconscious::__private::Ok(Self::Closed),
            _ => {
                <String as ::subconscious::__private::OtherValue>::read(stored)
                    .map(Self::Other)
            }
        }
    }
    fn ordinal(&self) -> u16 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::Other(text) => {
                match <String as ::subconscious::__private::OtherValue>::text(text) {
                    "Open" => 0,
                    "Closed" => 1,
                    _ => ::subconscious::__private::OTHER,
                }
            }
        }
    }
}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::IndexValue for Status {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::ElementValue for Status {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::SortValue for Status {}
#[automatically_derived]
#[allow(deprecated)]
impl ::subconscious::__private::KeyValue for Status
where
    for<'clone> Status: ::subconscious::__private::Clone,
{}
