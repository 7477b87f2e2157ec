//! The slot of a key: which part of a cluster it belongs to.

use redis::{Arg, Cmd};

use crate::scripts::key_of;

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of a key: that of its hash tag, if it has one. As in the Redis Cluster specification.
pub(super) fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// What is between the first `{` of a key and the next `}`; the whole key if there is nothing.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |crc, &byte| (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ (0x1021 * (crc >> 15))))
}

/// The key that says where a command goes; `None` for a command without one.
pub(super) fn routing_key(command: &Cmd) -> Option<&[u8]> {
    let mut arguments = command.args_iter();
    match arguments.next() {
        Some(Arg::Simple(b"EVALSHA" | b"EVAL")) => Some(key_of(command)),
        Some(Arg::Simple(b"INFO" | b"PING" | b"CLUSTER")) => None,
        _ => match arguments.next() {
            Some(Arg::Simple(key)) => Some(key),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{crc16, routing_key, slot};

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // From `CLUSTER KEYSLOT`.
        for (key, expected) in [("foo", 12_182), ("{user1000}.following", 3_443), ("{user1000}.followers", 3_443)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"a{b"), slot(b"a{b"));
    }

    #[test]
    fn a_command_goes_to_its_key() {
        let key = |command: &redis::Cmd| routing_key(command).map(<[u8]>::to_vec);
        assert_eq!(key(redis::cmd("GET").arg("a")), Some(b"a".to_vec()));
        assert_eq!(key(redis::cmd("EVALSHA").arg("hash").arg(2).arg("a").arg("b").arg("c")), Some(b"a".to_vec()));
        assert_eq!(key(&redis::cmd("PING")), None);
        assert_eq!(key(redis::cmd("CLUSTER").arg("SLOTS")), None);
    }
}
