//! Orders of records, and their directions.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use crate::error::Result;
use crate::model::RedisModel;
use crate::query::request::OrderKey;
use crate::sealed::Sealed;
use crate::value::ValueError;

/// The direction of an order. As text, and in serde (feature `serde`), it is `asc` or `desc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Direction {
    /// From the least value to the greatest.
    #[default]
    Asc,
    /// From the greatest value to the least.
    Desc,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        })
    }
}

impl FromStr for Direction {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "asc" => Ok(Self::Asc),
            "desc" => Ok(Self::Desc),
            other => Err(ValueError::not("a direction, `asc` or `desc`", other.as_bytes())),
        }
    }
}

/// An order of the records of the model `M`, made by [`Column::asc`](crate::Column::asc),
/// [`Column::desc`](crate::Column::desc) and [`Column::order`](crate::Column::order), or by the
/// name of a column.
#[must_use = "an order does nothing until a query is made with it"]
pub struct Order<M> {
    pub(crate) key: OrderKey,
    model: PhantomData<fn() -> M>,
}

impl<M> Order<M> {
    pub(crate) fn new(column: usize, direction: Direction) -> Self {
        let descending = direction == Direction::Desc;
        Self { key: OrderKey { column, descending, nulls_first: false }, model: PhantomData }
    }

    /// Puts the records whose column is null before all others. Without it, they come last in both
    /// directions.
    pub fn nulls_first(mut self) -> Self {
        self.key.nulls_first = true;
        self
    }

    /// The same order from its end to its beginning: nulls that came last come first, and records
    /// with equal values change places, too.
    pub fn reversed(mut self) -> Self {
        self.key = self.key.reversed();
        self
    }
}

impl<M: RedisModel> Order<M> {
    /// The order by the column of this name, which may come from a request. The name is that of the
    /// stored field, which is the field's own unless `#[column(rename = "..")]` says otherwise.
    ///
    /// ```no_run
    /// # use subconscious::{Db, Direction, Order, RedisModel};
    /// # #[derive(RedisModel)]
    /// # struct User { #[column(primary_key)] id: u64, #[column(sort)] age: u8 }
    /// # async fn run(db: Db, sort: &str, direction: Direction) -> subconscious::Result<()> {
    /// let order = Order::by_name(sort, direction)?;
    /// let page = User::all().order_by(|_| order).limit(20).page(&db).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidQuery`](crate::Error::InvalidQuery) if the model has no such column, or if
    /// the column has no `sort`. It lists the names that can be used.
    pub fn by_name(name: &str, direction: Direction) -> Result<Self> {
        let (at, _) = M::schema().named(name, ("Order by", "`sort`"), |column| column.has_sort())?;
        Ok(Self::new(at, direction))
    }
}

/// What the closure of [`Query::order_by`](crate::Query::order_by) answers: an [`Order`].
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is no order",
    label = "expected `Order<{M}>`",
    note = "say in which direction: `.order_by(|u| u.age.asc())` or `.desc()`; for a name from a request: \
            `Order::by_name(name, direction)?`"
)]
pub trait IntoOrder<M>: Sealed {
    /// The order.
    fn into_order(self) -> Order<M>;
}

impl<M> Sealed for Order<M> {}

#[diagnostic::do_not_recommend]
impl<M> IntoOrder<M> for Order<M> {
    fn into_order(self) -> Self {
        self
    }
}

impl<M> Clone for Order<M> {
    fn clone(&self) -> Self {
        Self { key: self.key, model: PhantomData }
    }
}

impl<M> fmt::Debug for Order<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Order({}{})", if self.key.descending { "-" } else { "" }, self.key.column)
    }
}
