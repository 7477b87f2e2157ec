//! How much each address may paste.

use std::net::IpAddr;

use chrono::Utc;
use subconscious::{Db, RedisModel, Result};

/// Pastes that an address may make in a minute.
pub(crate) const PASTES: u32 = 30;

/// What an address did in a minute. All instances of the program count in the same place, and Redis forgets it by itself.
#[derive(Debug, RedisModel)]
#[model(ttl = "2m")]
struct Caller {
    /// Address and minute.
    #[column(primary_key)]
    id: String,
    pastes: u32,
}

/// Counts a paste. Whether it is one too many.
pub(crate) async fn is_too_many(db: &Db, address: IpAddr) -> Result<bool> {
    // Whoever has an address of the sixth version has a whole network of them.
    let network = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    };
    let id = format!("{network} {}", Utc::now().timestamp() / 60);
    loop {
        match Caller::patch(db, id.as_str(), |caller| [caller.pastes.incr(1)]).await {
            Ok(patched) => return Ok(patched.get(|caller| caller.pastes).is_some_and(|pastes| pastes > PASTES)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        match (Caller { id: id.clone(), pastes: 1 }).insert(db).await {
            Ok(()) => return Ok(false),
            // Another paste was first.
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
    }
}
