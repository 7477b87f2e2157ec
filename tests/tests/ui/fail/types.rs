use std::collections::HashMap;

use subconscious::value::{Kind, ValueError};
use subconscious::{ColumnValue, RedisModel};

struct Opaque;

impl ColumnValue for Opaque {
    const TYPE: &'static str = "opaque";
    const KIND: Kind = Kind::Bytes;
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), ValueError> {
        Ok(())
    }
    fn decode(_: &[u8]) -> Result<Self, ValueError> {
        Ok(Opaque)
    }
}

#[derive(RedisModel)]
struct Plain {
    #[column(primary_key)]
    id: u64,
    no_column: HashMap<String, u8>,
}

#[derive(RedisModel)]
struct Unordered {
    #[column(primary_key)]
    id: u64,
    #[column(sort)]
    unordered: Opaque,
    #[column(index)]
    not_indexable: Option<Opaque>,
    #[column(auto_increment)]
    not_a_number: String,
    #[column(default)]
    nullable: Option<u8>,
}

#[derive(RedisModel)]
struct BadKey {
    #[column(primary_key)]
    id: f64,
}

#[derive(RedisModel)]
struct NullableKey {
    #[column(primary_key)]
    id: Option<u64>,
}

fn main() {}
