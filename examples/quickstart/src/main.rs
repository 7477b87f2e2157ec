//! A first model: saved, loaded and queried. `REDIS_URL` is the database; without it, the program
//! starts a private server.

use chrono::{DateTime, Utc};
use subconscious::testing::TestServer;
use subconscious::{ColumnEnum, Db, RedisModel};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "lowercase")]
enum Gender {
    Male,
    Female,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct User {
    #[column(primary_key)]
    uuid: Uuid,
    name: String, // not an Option: required
    #[column(index, sort)]
    age: u8,
    #[column(index)]
    gender: Option<Gender>, // an Option: nullable
    #[column(index)]
    country_code: Option<String>,
    #[column(sort)]
    created_at: DateTime<Utc>,
}

fn user(name: &str, age: u8, gender: Option<Gender>, country_code: &str) -> User {
    let country_code = Some(country_code.into());
    User { uuid: Uuid::new_v4(), name: name.into(), age, gender, country_code, created_at: Utc::now() }
}

#[tokio::main]
async fn main() -> subconscious::Result<()> {
    // The namespace separates the keys of this program from others on your server.
    let quickstart = Db::builder().namespace("quickstart");
    let private; // the server stops when this is dropped, at the end of main
    let db = match std::env::var("REDIS_URL") {
        Ok(url) if !url.is_empty() => quickstart.open(&url).await?,
        _ => {
            private = TestServer::start().await?;
            quickstart.open(private.url()).await?
        }
    };

    // A save writes the record and all its index entries in one step and one round trip.
    let mut john = user("John Doe", 30, Some(Gender::Male), "USA");
    john.save(&db).await?;
    println!("loaded: {:?}", User::load(&db, john.uuid).await?);

    // Many records in few round trips; the report says which of them failed, and why.
    let mut users = [
        user("Tom", 19, Some(Gender::Male), "USA"),
        user("Ann", 20, Some(Gender::Female), "USA"),
        user("Kim", 22, None, "USA"),
        user("Max", 21, Some(Gender::Male), "DEU"),
    ];
    User::save_many(&db, &mut users).await?.into_result()?;

    // The compiler checks the filter: a column without an index does not compile, and neither does
    // a value of another type. `!` also matches null, so Kim is found.
    let mut promo = User::filter_by(|u| {
        u.age.is_in([18, 19, 20, 21, 22]) & u.country_code.eq("USA") & !u.gender.eq(Gender::Female)
    })
    .order_by(|u| u.age.desc())
    .limit(10)
    .stream(&db);
    while let Some(user) = promo.try_next().await? {
        println!("promo for {}, {}", user.name, user.age);
    }

    // Clean up, in case this is your server.
    for user in users.iter().chain([&john]) {
        user.delete(&db).await?;
    }
    println!("users left: {}", User::all().count(&db).await?);
    Ok(())
}
