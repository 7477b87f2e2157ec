/// The columns of [`User`], to filter and order by.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
#[allow(dead_code, deprecated, non_camel_case_types, non_snake_case, private_interfaces)]
#[non_exhaustive]
pub struct UserColumns {
    /// The column `uuid`.
    pub uuid: ::subconscious::__private::Column<
        User,
        Uuid,
        ::subconscious::__private::Caps<false, false, ::subconscious::__private::Key>,
    >,
    /// The column `name`.
    pub name: ::subconscious::__private::Column<
        User,
        String,
        ::subconscious::__private::Caps<false, false>,
    >,
    /// The column `age`.
    pub age: ::subconscious::__private::Column<
        User,
        u8,
        ::subconscious::__private::Caps<true, true>,
    >,
    /// The column `level`.
    pub level: ::subconscious::__private::Column<
        User,
        Option<u32>,
        ::subconscious::__private::Caps<true, false>,
    >,
    /// The column `logins`.
    pub logins: ::subconscious::__private::Column<
        User,
        u32,
        ::subconscious::__private::Caps<false, false>,
    >,
}
#[automatically_derived]
#[allow(deprecated, clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)]
impl ::subconscious::__private::RedisModel for User {
    type Id = Uuid;
    type Columns = UserColumns;
    fn schema() -> &'static ::subconscious::__private::ModelSchema {
        static SCHEMA: ::subconscious::__private::LazyLock<
            ::subconscious::__private::ModelSchema,
        > = ::subconscious::__private::LazyLock::new(|| ::subconscious::__private::ModelSchema::new(
            "User",
            ::subconscious::__private::vec![
                ::subconscious::__private::ColumnSchema::new::<
                    <Uuid as ::subconscious::__private::IsColumn>::Same,
                >("uuid")
                    .key::<Uuid>(),
                ::subconscious::__private::ColumnSchema::new::<
                    <String as ::subconscious::__private::IsColumn>::Same,
                >("name"),
                ::subconscious::__private::ColumnSchema::new::<
                    <u8 as ::subconscious::__private::IsColumn>::Same,
                >("age")
                    .index::<u8>()
                    .sort::<u8>(),
                ::subconscious::__private::ColumnSchema::new::<
                    <Option<u32> as ::subconscious::__private::IsColumn>::Same,
                >("level")
                    .index::<Option<u32>>(),
                ::subconscious::__private::ColumnSchema::new::<
                    <u32 as ::subconscious::__private::IsColumn>::Same,
                >("logins")
                    .or(|| ::subconscious::__private::stored::<
                        <u32 as ::subconscious::__private::IsColumn>::Same,
                    >(7)),
            ],
        ));
        &SCHEMA
    }
    fn columns() -> Self::Columns {
        UserColumns {
            uuid: ::subconscious::__private::Column::new(0),
            name: ::subconscious::__private::Column::new(1),
            age: ::subconscious::__private::Column::new(2),
            level: ::subconscious::__private::Column::new(3),
            logins: ::subconscious::__private::Column::new(4),
        }
    }
    fn id(&self) -> Self::Id {
        <Uuid as ::subconscious::__private::Clone>::clone(&self.uuid)
    }
    fn write(
        &self,
        record: &mut ::subconscious::__private::RecordWriter,
    ) -> ::subconscious::__private::Result<()> {
        record
            .column::<<Uuid as ::subconscious::__private::IsColumn>::Same>(&self.uuid)?;
        record
            .column::<
                <String as ::subconscious::__private::IsColumn>::Same,
            >(&self.name)?;
        record.column::<<u8 as ::subconscious::__private::IsColumn>::Same>(&self.age)?;
        record
            .column::<
                <Option<u32> as ::subconscious::__private::IsColumn>::Same,
            >(&self.level)?;
        record
            .column::<<u32 as ::subconscious::__private::IsColumn>::Same>(&self.logins)?;
        ::subconscious::__private::Ok(())
    }
    fn read(
        record: &mut ::subconscious::__private::RecordReader<'_>,
    ) -> ::subconscious::__private::Result<Self> {
        ::subconscious::__private::Ok(Self {
            uuid: record
                .column::<<Uuid as ::subconscious::__private::IsColumn>::Same>()?,
            name: record
                .column::<<String as ::subconscious::__private::IsColumn>::Same>()?,
            age: record.column::<<u8 as ::subconscious::__private::IsColumn>::Same>()?,
            level: record
                .column::<<Option<u32> as ::subconscious::__private::IsColumn>::Same>()?,
            logins: record
                .column_or::<<u32 as ::subconscious::__private::IsColumn>::Same>(|| 7)?,
            cache: <Vec<String> as ::subconscious::__private::Default>::default(),
        })
    }
}
