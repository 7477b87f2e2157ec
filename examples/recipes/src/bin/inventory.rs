//! The stock of a warehouse: it never falls below zero, things are found by their tags, and counted
//! by shelf.
//!
//! It uses counters with a bound, a list with an index, and groups.

use futures::future::join_all;
use subconscious::{RedisModel, Result};

#[derive(Debug, RedisModel)]
struct Thing {
    #[column(primary_key)]
    sku: String,
    #[column(index)]
    shelf: u16,
    /// Unsigned, so it cannot go below zero.
    stock: u32,
    #[column(index)]
    tags: Vec<String>,
}

fn thing(sku: &str, shelf: u16, stock: u32, tags: &[&str]) -> Thing {
    Thing { sku: sku.to_owned(), shelf, stock, tags: tags.iter().map(|&tag| tag.to_owned()).collect() }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (db, _server) = recipes::open("recipes-inventory").await?;
    let mut things = [
        thing("lamp", 1, 5, &["light", "glass", "fragile"]),
        thing("vase", 1, 2, &["glass", "fragile"]),
        thing("rope", 2, 40, &["long"]),
        thing("torch", 2, 8, &["light"]),
    ];
    Thing::save_many(&db, &mut things).await?.into_result()?;

    // Ten customers want one of five lamps at the same time. Five get one, the others an error.
    let sales = join_all((0..10).map(|_| Thing::patch(&db, "lamp", |t| [t.stock.decr(1)]))).await;
    let sold = sales.iter().filter(|sale| sale.is_ok()).count();
    println!("lamps sold: {sold}");
    if let Some(refused) = sales.iter().find_map(|sale| sale.as_ref().err()) {
        println!("the others were told: {refused}");
    }

    // By tags.
    let fragile = Thing::filter_by(|t| t.tags.contains_all(["glass", "fragile"])).fetch(&db).await?;
    println!("handle with care: {:?}", fragile.iter().map(|thing| &thing.sku).collect::<Vec<_>>());
    let unlit = Thing::filter_by(|t| !t.tags.contains("light") & t.shelf.is_in([1, 2])).count(&db).await?;
    println!("no lights: {unlit}");

    // By shelf and by tag.
    for (shelf, count) in Thing::all().count_by(&db, |t| t.shelf).await? {
        println!("shelf {shelf}: {count}");
    }
    for (tag, count) in Thing::all().count_by(&db, |t| t.tags).await? {
        println!("{tag}: {count}");
    }
    println!("sold out: {}", Thing::all().delete(&db).await?);
    Ok(())
}
