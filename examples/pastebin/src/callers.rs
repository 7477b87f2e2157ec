//! Limits how many pastes an address creates in a minute.

use std::net::IpAddr;

use chrono::Utc;
use subconscious::{Db, RedisModel, Result};

/// Pastes that an address may create in a minute.
pub(crate) const PASTES: u32 = 30;

/// The number of pastes of an address in a minute. All instances of the program share it, and it
/// expires by itself.
#[derive(Debug, RedisModel)]
#[model(ttl = "2m")]
struct Caller {
    /// Address and minute.
    #[column(primary_key)]
    id: String,
    pastes: u32,
}

/// Counts a paste, and says whether it is one too many.
pub(crate) async fn is_too_many(db: &Db, address: IpAddr) -> Result<bool> {
    // With IPv6, one caller usually has a whole /64 network.
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
            // Another request has inserted it meanwhile.
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
    }
}
