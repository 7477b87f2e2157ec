use std::collections::HashMap;
use subconscious::{Db, RedisModel};

enum Colour { Red }

#[derive(RedisModel)]
struct Borrowed<'a> {
    #[column(primary_key)]
    id: u64,
    name: &'a str,
}

#[derive(RedisModel)]
struct Types {
    #[column(primary_key)]
    id: u64,
    #[column(index)]
    colour: Colour,
    other: Option<Colour>,
    map: HashMap<String, u8>,
    nested: Option<Option<u8>>,
    text: &'static str,
}

struct NoDerive { id: u64 }

async fn run(db: &Db) {
    let _ = NoDerive { id: 1 }.save(db).await;
    let _ = NoDerive::filter_by(|n| n.id.eq(1)).fetch(db).await;
}

fn main() { let _ = Colour::Red; }
