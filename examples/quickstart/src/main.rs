//! The first steps: a model, a few records, a query. Run it by `cargo run -p quickstart`.

use futures::TryStreamExt;
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
}

fn user(name: &str, age: u8, gender: Option<Gender>, country_code: Option<&str>) -> User {
    User { uuid: Uuid::new_v4(), name: name.into(), age, gender, country_code: country_code.map(Into::into) }
}

#[tokio::main]
async fn main() -> subconscious::Result<()> {
    // Your server, or a private one that ends with this program.
    let private = if std::env::var_os("REDIS_URL").is_none() { Some(TestServer::start().await?) } else { None };
    let url = private
        .as_ref()
        .map_or_else(|| std::env::var("REDIS_URL").unwrap_or_default(), |server| server.url().to_owned());
    let db = Db::builder().namespace("quickstart").open(&url).await?;

    // Insert or replace, with all index entries, in one step.
    let mut john = user("John Doe", 22, Some(Gender::Male), Some("USA"));
    john.save(&db).await?;
    let mut others = [
        user("Jane Roe", 21, Some(Gender::Female), Some("USA")),
        user("Alex Poe", 19, None, Some("USA")),
        user("Hans Muster", 20, Some(Gender::Male), Some("CH")),
    ];
    User::save_many(&db, &mut others).await?.into_result()?;
    assert_eq!(User::load(&db, john.uuid).await?, Some(john.clone()));

    // AND, OR and NOT of typed predicates; a NOT includes the users whose gender is not known.
    let mut promo = User::filter_by(|u| {
        u.age.is_in([18, 19, 20, 21, 22]) & u.country_code.eq("USA") & !u.gender.eq(Gender::Female)
    })
    .order_by(|u| u.age.desc())
    .limit(10)
    .stream(&db);
    while let Some(user) = promo.try_next().await? {
        println!("{} ({}) gets the promotion", user.name, user.age);
    }

    // An update moves the index entries along.
    john.country_code = None;
    john.save(&db).await?;
    println!("{} in the USA", User::filter_by(|u| u.country_code.eq("USA")).count(&db).await?);
    println!(
        "nobody knows where {:?} is",
        User::filter_by(|u| u.country_code.is_none()).first(&db).await?.map(|u| u.name)
    );

    for user in User::all().fetch(&db).await? {
        user.delete(&db).await?;
    }
    Ok(())
}
