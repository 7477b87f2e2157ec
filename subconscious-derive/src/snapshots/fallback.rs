::core::compile_error!(
    "unknown attribute `indexd`, did you mean `index`?\nvalid in `#[column(..)]` here: `primary_key`, `composite_key`, `auto_increment`, `index`, `sort`, `unique`, `version`, `created_at`, `updated_at`, `expires_at`, `rename`, `default`, `skip`",
)
/// The columns of [`User`], to filter and order by.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
#[allow(dead_code, deprecated, non_camel_case_types, non_snake_case, private_interfaces)]
#[non_exhaustive]
struct UserColumns {
    /// The column `id`.
    id: ::subconscious::__private::Column<
        User,
        u64,
        ::subconscious::__private::Caps<true, true>,
    >,
    /// The column `age`.
    age: ::subconscious::__private::Column<
        User,
        u8,
        ::subconscious::__private::Caps<true, true>,
    >,
    /// The column `version`.
    version: ::subconscious::__private::Column<
        User,
        u64,
        ::subconscious::__private::Caps<true, true, ::subconscious::__private::Version>,
    >,
    /// The column `created`.
    created: ::subconscious::__private::Column<
        User,
        SystemTime,
        ::subconscious::__private::Caps<true, true>,
    >,
}
#[automatically_derived]
#[allow(unused)]
impl ::subconscious::__private::RedisModel for User {
    type Id = u64;
    type Columns = UserColumns;
    fn schema() -> &'static ::subconscious::__private::ModelSchema {
        loop {}
    }
    fn columns() -> Self::Columns {
        loop {}
    }
    fn id(&self) -> Self::Id {
        loop {}
    }
    fn write(
        &self,
        record: &mut ::subconscious::__private::RecordWriter,
    ) -> ::subconscious::__private::Result<()> {
        loop {}
    }
    fn read(
        record: &mut ::subconscious::__private::RecordReader<'_>,
    ) -> ::subconscious::__private::Result<Self> {
        loop {}
    }
}
