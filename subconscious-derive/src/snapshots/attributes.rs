/// The columns of [`Order`], to filter and order by.
#[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
#[allow(dead_code, deprecated, non_camel_case_types, non_snake_case, private_interfaces)]
#[non_exhaustive]
pub(crate) struct OrderColumns {
    /// The column `shop`.
    pub(crate) shop: other::path::__private::Column<
        r#Order,
        u32,
        other::path::__private::Caps<true, false>,
    >,
    /// The column `no`.
    pub(crate) number: other::path::__private::Column<
        r#Order,
        Number,
        other::path::__private::Caps<true, false>,
    >,
    /// The column `type`.
    pub(crate) r#type: other::path::__private::Column<
        r#Order,
        i64,
        other::path::__private::Caps<false, true>,
    >,
    /// The column `größe`.
    pub(crate) size: other::path::__private::Column<
        r#Order,
        u8,
        other::path::__private::Caps<false, false>,
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
        > = other::path::__private::LazyLock::new(|| other::path::__private::ModelSchema::new(
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
                >("größe"),
            ],
        ));
        &SCHEMA
    }
    fn columns() -> Self::Columns {
        OrderColumns {
            shop: other::path::__private::Column::new(0),
            number: other::path::__private::Column::new(1),
            r#type: other::path::__private::Column::new(2),
            size: other::path::__private::Column::new(3),
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
        })
    }
    fn set_automatic(
        &mut self,
        values: &mut other::path::__private::RecordReader<'_>,
    ) -> other::path::__private::Result<()> {
        self.r#type = values
            .column::<<i64 as other::path::__private::IsColumn>::Same>()?;
        other::path::__private::Ok(())
    }
}
