use subconscious::RedisModel;

#[derive(RedisModel)]
struct NoKey {
    name: String,
}

#[derive(RedisModel)]
struct BothKinds {
    #[column(primary_key)]
    id: u64,
    #[column(composite_key)]
    left: String,
    #[column(composite_key)]
    right: String,
}

#[derive(RedisModel)]
struct LoneComposite {
    #[column(composite_key)]
    left: String,
}

#[derive(RedisModel)]
struct TwoPrimary {
    #[column(primary_key)]
    left: u64,
    #[column(primary_key)]
    right: u64,
}

fn main() {}
