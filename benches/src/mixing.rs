//! Numbers without order that are the same in every run.

/// The last step of SplitMix64.
#[must_use]
pub fn mix(at: u64) -> u64 {
    let mut mixed = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// One to one: xor-shifts and odd factors can be undone.
#[must_use]
pub fn scatter(at: u32) -> u32 {
    let mut mixed = (at ^ (at >> 16)).wrapping_mul(0x85EB_CA6B);
    mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xC2B2_AE35);
    mixed ^ (mixed >> 16)
}
