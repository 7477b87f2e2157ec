use subconscious::{Db, RedisModel};

#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    id: u64,
    #[column(sort)]
    name: String,
    age: u8,
}

async fn sums(db: &Db) {
    let _ = User::all().sum(db, |u| u.name).await;
    let _ = User::all().avg(db, |u| u.age).await;
}

fn main() {
    let _ = sums;
}
