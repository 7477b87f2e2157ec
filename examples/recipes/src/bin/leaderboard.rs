//! The players of a game by their points: who leads, and what is my place.
//!
//! It uses an ordered column, exact counters, and pages.

use futures::future::try_join_all;
use subconscious::{RedisModel, Result};

#[derive(Debug, RedisModel)]
struct Player {
    #[column(primary_key)]
    name: String,
    #[column(index)]
    league: String,
    #[column(sort)]
    points: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (db, _server) = recipes::open("recipes-leaderboard").await?;
    let league = |number: u32| if number.is_multiple_of(2) { "north" } else { "south" };
    let player = |number: u32| Player {
        name: format!("player {number}"),
        league: league(number).to_owned(),
        points: 10 * number,
    };
    let mut players: Vec<Player> = (1..=100).map(player).collect();
    Player::save_many(&db, &mut players).await?.into_result()?;

    // A hundred goals at the same time. None is lost, and the order changes in the same step.
    try_join_all((0..100).map(|_| Player::patch(&db, "player 42", |p| [p.points.incr(5)]))).await?;
    let Some(me) = Player::load(&db, "player 42").await? else { return Ok(()) };
    println!("{} has {} points", me.name, me.points);

    // The best three of a league.
    for player in Player::filter_by(|p| p.league.eq("north")).order_by(|p| p.points.desc()).limit(3).fetch(&db).await? {
        println!("north: {} with {}", player.name, player.points);
    }

    // My place: how many have more.
    println!("my place: {}", Player::filter_by(|p| p.points.gt(me.points)).count(&db).await? + 1);

    // Page by page. A cursor keeps its place while others change their points.
    let by_points = Player::all().order_by(|p| p.points.desc()).limit(40);
    let (mut page, mut number) = (by_points.page(&db).await?, 1);
    while let Some(next) = page.next.take() {
        println!("page {number} ends with {:?}", page.items.last().map(|player| &player.name));
        (page, number) = (by_points.clone().after(next).page(&db).await?, number + 1);
    }
    println!("page {number} ends with {:?}", page.items.last().map(|player| &player.name));
    Player::all().delete(&db).await?;
    Ok(())
}
