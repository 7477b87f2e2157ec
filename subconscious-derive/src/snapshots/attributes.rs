/// The columns of [`Order`], to filter and order by.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
#[allow(dead_code, deprecated, non_camel_case_types, non_snake_case, private_interfaces)]
#[non_exhaustive]
pub(crate) struct OrderColumns {
    /// The column `shop`.
    pub(crate) shop: other::path::__private::Column<
        r#Order,
        u32,
        other::path::__private::Caps<true, false, other::path::__private::Key>,
    >,
    /// The column `no`.
    pub(crate) number: other::path::__private::Column<
        r#Order,
        Number,
        other::path::__private::Caps<true, false, other::path::__private::Key>,
    >,
    /// The column `type`.
    pub(crate) r#type: other::path::__private::Column<
        r#Order,
        i64,
        other::path::__private::Caps<false, true, other::path::__private::Automatic>,
    >,
    /// The column `größe`.
    pub(crate) size: other::path::__private::Column<
        r#Order,
        u8,
        other::path::__private::Caps<false, false>,
    >,
    /// The column `slug`.
    pub(crate) slug: other::path::__private::Column<
        r#Order,
        String,
        other::path::__private::Caps<false, false, other::path::__private::Unique>,
    >,
    /// The column `version`.
    pub(crate) version: other::path::__private::Column<
        r#Order,
        u64,
        other::path::__private::Caps<false, false, other::path::__private::Version>,
    >,
    /// The column `created`.
    pub(crate) created: other::path::__private::Column<
        r#Order,
        DateTime<Utc>,
        other::path::__private::Caps<false, true, other::path::__private::Automatic>,
    >,
    /// The column `updated`.
    pub(crate) updated: other::path::__private::Column<
        r#Order,
        SystemTime,
        other::path::__private::Caps<false, false, other::path::__private::Automatic>,
    >,
}
#[automatically_derived]
#[allow(deprecated, clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction)]
impl other::path::__private::RedisModel for r#Order {
    type Id = (u32, Number);
    type Columns = OrderColumns;
    fn schema() -> &'static other::path::__private::ModelSchema {
        static SCHEMA: other::path::__private::LazyLock<
            other::path::__private::ModelSchema,
        > = other::path::__private::LazyLock::new(|| {
            other::path::__private::ModelSchema::new(
                    "orders",
                    other::path::__private::vec![
                        other::path::__private::ColumnSchema::new::<
                            <u32 as other::path::__private::IsColumn>::Same,
                        >("shop")
                            .key::<u32>()
                            .index::<u32>(),
                        other::path::__private::ColumnSchema::new::<
                            <Number as other::path::__private::IsColumn>::Same,
                        >("no")
                            .key::<Number>()
                            .index::<Number>(),
                        other::path::__private::ColumnSchema::new::<
                            <i64 as other::path::__private::IsColumn>::Same,
                        >("type")
                            .sort::<i64>()
                            .auto_increment::<i64>(),
                        other::path::__private::ColumnSchema::new::<
                            <u8 as other::path::__private::IsColumn>::Same,
                        >("größe")
                            .or(|| other::path::__private::stored::<
                                <u8 as other::path::__private::IsColumn>::Same,
                            >(<u8 as other::path::__private::Default>::default())),
                        other::path::__private::ColumnSchema::new::<
                            <String as other::path::__private::IsColumn>::Same,
                        >("slug")
                            .unique::<String>(),
                        other::path::__private::ColumnSchema::new::<
                            <u64 as other::path::__private::IsColumn>::Same,
                        >("version")
                            .version::<u64>(),
                        other::path::__private::ColumnSchema::new::<
                            <DateTime<Utc> as other::path::__private::IsColumn>::Same,
                        >("created")
                            .sort::<DateTime<Utc>>()
                            .created_at::<DateTime<Utc>>(),
                        other::path::__private::ColumnSchema::new::<
                            <SystemTime as other::path::__private::IsColumn>::Same,
                        >("updated")
                            .updated_at::<SystemTime>()
                            .or(|| other::path::__private::stored::<
                                <SystemTime as other::path::__private::IsColumn>::Same,
                            >(SystemTime::UNIX_EPOCH)),
                    ],
                )
                .ttl(5400000, true)
        });
        &SCHEMA
    }
    fn columns() -> Self::Columns {
        OrderColumns {
            shop: other::path::__private::Column::new(0),
            number: other::path::__private::Column::new(1),
            r#type: other::path::__private::Column::new(2),
            size: other::path::__private::Column::new(3),
            slug: other::path::__private::Column::new(4),
            version: other::path::__private::Column::new(5),
            created: other::path::__private::Column::new(6),
            updated: other::path::__private::Column::new(7),
        }
    }
    fn id(&self) -> Self::Id {
        (
            <u32 as other::path::__private::Clone>::clone(&self.shop),
            <Number as other::path::__private::Clone>::clone(&self.number),
        )
    }
    fn write(
        &self,
        record: &mut other::path::__private::RecordWriter,
    ) -> other::path::__private::Result<()> {
        record.column::<<u32 as other::path::__private::IsColumn>::Same>(&self.shop)?;
        record
            .column::<<Number as other::path::__private::IsColumn>::Same>(&self.number)?;
        record.column::<<i64 as other::path::__private::IsColumn>::Same>(&self.r#type)?;
        record.column::<<u8 as other::path::__private::IsColumn>::Same>(&self.size)?;
        record.column::<<String as other::path::__private::IsColumn>::Same>(&self.slug)?;
        record.column::<<u64 as other::path::__private::IsColumn>::Same>(&self.version)?;
        record
            .column::<
                <DateTime<Utc> as other::path::__private::IsColumn>::Same,
            >(&self.created)?;
        record
            .column::<
                <SystemTime as other::path::__private::IsColumn>::Same,
            >(&self.updated)?;
        other::path::__private::Ok(())
    }
    fn read(
        record: &mut other::path::__private::RecordReader<'_>,
    ) -> other::path::__private::Result<Self> {
        other::path::__private::Ok(Self {
            shop: record.column::<<u32 as other::path::__private::IsColumn>::Same>()?,
            number: record
                .column::<<Number as other::path::__private::IsColumn>::Same>()?,
            r#type: record.column::<<i64 as other::path::__private::IsColumn>::Same>()?,
            size: record
                .column_or::<
                    <u8 as other::path::__private::IsColumn>::Same,
                >(|| <u8 as other::path::__private::Default>::default())?,
            parts: Vec::new(),
            slug: record.column::<<String as other::path::__private::IsColumn>::Same>()?,
            version: record.column::<<u64 as other::path::__private::IsColumn>::Same>()?,
            created: record
                .column::<<DateTime<Utc> as other::path::__private::IsColumn>::Same>()?,
            updated: record
                .column_or::<
                    <SystemTime as other::path::__private::IsColumn>::Same,
                >(|| SystemTime::UNIX_EPOCH)?,
        })
    }
    fn set_automatic(
        &mut self,
        values: &mut other::path::__private::RecordReader<'_>,
    ) -> other::path::__private::Result<()> {
        self.r#type = values
            .column::<<i64 as other::path::__private::IsColumn>::Same>()?;
        self.version = values
            .column::<<u64 as other::path::__private::IsColumn>::Same>()?;
        self.created = values
            .column::<<DateTime<Utc> as other::path::__private::IsColumn>::Same>()?;
        self.updated = values
            .column::<<SystemTime as other::path::__private::IsColumn>::Same>()?;
        other::path::__private::Ok(())
    }
}
