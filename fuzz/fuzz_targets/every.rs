//! A model with a column of each kind.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use subconscious::{ColumnEnum, Json, RedisModel};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
pub enum Size {
    Small,
    Large,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
pub struct Every {
    #[column(primary_key)]
    pub id: u64,
    #[column(index, sort)]
    pub small: Option<i8>,
    #[column(index, sort)]
    pub long: i64,
    #[column(sort)]
    pub huge: Option<u128>,
    #[column(sort)]
    pub float: f64,
    #[column(index, sort)]
    pub size: Option<Size>,
    #[column(index, sort)]
    pub text: String,
    #[column(unique)]
    pub bytes: Option<Vec<u8>>,
    #[column(index)]
    pub tags: Vec<String>,
    #[column(sort)]
    pub at: DateTime<Utc>,
    #[column(sort)]
    pub day: Option<NaiveDate>,
    #[column(index, sort)]
    pub price: Decimal,
    #[column(index)]
    pub uuid: Option<Uuid>,
    pub letter: char,
    pub json: Json<serde_json::Value>,
}
