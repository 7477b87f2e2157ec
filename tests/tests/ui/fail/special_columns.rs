use std::collections::BTreeMap;

use subconscious::{Json, RedisModel};

// What one attribute, or the other attributes of the model, exclude.
#[derive(RedisModel)]
#[model(ttl = "1 hour", renew)]
struct Rules {
    #[column(primary_key, unique)]
    id: u64,
    #[column(version, updated_at)]
    version: u64,
    #[column(version)]
    again: u64,
    #[column(expires_at, default = 5)]
    until: u64,
    #[column(skip, created_at)]
    created: u64,
}

#[derive(RedisModel)]
#[model(renew)]
struct Forever {
    #[column(primary_key)]
    id: u64,
}

// What the types exclude.
#[derive(RedisModel)]
struct Types {
    #[column(primary_key)]
    id: u64,
    #[column(unique)]
    unique: Json<BTreeMap<String, u8>>,
    #[column(version)]
    version: Option<u64>,
    #[column(created_at)]
    created: String,
    #[column(expires_at)]
    until: Option<u8>,
}

fn main() {}
