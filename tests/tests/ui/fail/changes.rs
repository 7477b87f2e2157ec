use std::time::SystemTime;

use subconscious::{Db, RedisModel, Result};

#[derive(RedisModel)]
struct Account {
    #[column(primary_key)]
    id: u64,
    name: String,
    email: Option<String>,
    balance: i64,
    #[column(version)]
    version: u64,
    #[column(updated_at)]
    updated: SystemTime,
    #[column(index)]
    tags: Vec<String>,
}

async fn patches(db: &Db) -> Result<()> {
    Account::patch(db, 1u64, |a| [a.id.set(2u64)]).await?;
    Account::patch(db, 1u64, |a| [a.version.set(2u64)]).await?;
    Account::patch(db, 1u64, |a| [a.updated.set(SystemTime::now())]).await?;
    Account::patch(db, 1u64, |a| [a.name.clear()]).await?;
    Account::patch(db, 1u64, |a| [a.name.incr(1)]).await?;
    Account::patch(db, 1u64, |a| [a.balance.incr("1")]).await?;
    Account::patch(db, 1u64, |a| [a.id.expected(1)]).await?;
    Account::patch(db, 1u64, |a| [a.email.set(None)]).await?;
    Account::patch(db, 1u64, |a| [a.email.set(Some("x"))]).await?;
    Account::patch(db, 1u64, |a| [a.balance.set("x")]).await?;
    Account::filter_by(|a| a.name.contains("x"));
    Account::filter_by(|a| a.tags.contains(3));
    Account::filter_by(|a| a.tags.eq(vec!["x".to_owned()]));
    Ok(())
}

fn main() {}
