//! Sessions of a web service: found by a token, one for each device, expired after an hour without
//! a request.
//!
//! It uses a time to live, a unique column and an index.

use std::time::Duration;

use chrono::{DateTime, Utc};
use subconscious::{RedisModel, Result};
use uuid::Uuid;

/// Expires an hour after its last write. No background task is needed.
#[derive(Debug, RedisModel)]
#[model(ttl = "1h", renew)]
struct Session {
    #[column(primary_key)]
    token: Uuid,
    #[column(index)]
    user: u64,
    /// A device has one session at a time.
    #[column(unique)]
    device: String,
    requests: u32,
    #[column(updated_at, sort)]
    seen_at: DateTime<Utc>,
}

impl Session {
    fn new(user: u64, device: &str) -> Self {
        Self { token: Uuid::new_v4(), user, device: device.to_owned(), requests: 0, seen_at: Utc::now() }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (db, _server) = recipes::open("recipes-sessions").await?;

    // Log in on two devices.
    let (mut phone, mut laptop) = (Session::new(7, "phone-1"), Session::new(7, "laptop-1"));
    phone.insert(&db).await?;
    laptop.insert(&db).await?;

    // A second session of the same device is refused, even if both come at the same time.
    match Session::new(8, "phone-1").insert(&db).await {
        Err(error) if error.is_duplicate() => println!("a second session of the device: {error}"),
        other => other?,
    }

    // For each request, one round trip counts it, sets `seen_at` and renews the hour.
    let patched = Session::patch(&db, phone.token, |s| [s.requests.incr(1)]).await?;
    println!("requests of the phone: {:?}", patched.get(|s| s.requests));
    println!(
        "it lives for {} minutes more",
        Session::ttl(&db, phone.token).await?.map_or(0, |left| left.as_secs().div_ceil(60))
    );

    // The devices of a user, the last used first.
    for session in Session::filter_by(|s| s.user.eq(7)).order_by(|s| s.seen_at.desc()).fetch(&db).await? {
        println!("user 7 on {}: {} requests", session.device, session.requests);
    }

    // End one sooner. From its deadline on it is in no answer, and its device is free.
    laptop.expire(&db, Duration::from_millis(5)).await?;
    while Session::exists(&db, laptop.token).await? {}
    println!("sessions of user 7 now: {}", Session::filter_by(|s| s.user.eq(7)).count(&db).await?);
    Session::new(7, "laptop-1").insert(&db).await?;

    // Log out everywhere.
    println!("ended: {}", Session::filter_by(|s| s.user.eq(7)).delete(&db).await?);
    Ok(())
}
