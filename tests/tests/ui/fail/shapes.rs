use subconscious::{ColumnEnum, RedisModel};

#[derive(RedisModel)]
struct Generic<T> {
    #[column(primary_key)]
    id: T,
}

#[derive(RedisModel)]
struct Tuple(u64);

#[derive(RedisModel)]
struct Unit;

#[derive(RedisModel)]
enum Choice {
    One,
}

#[derive(ColumnEnum)]
struct NotAnEnum {
    one: u8,
}

#[derive(ColumnEnum)]
enum WithData {
    One,
    Two(u8),
}

#[derive(ColumnEnum)]
enum TwoOthers {
    One,
    #[column(other)]
    Two(String, u8),
    #[column(other, rename = "3")]
    Three,
}

#[derive(ColumnEnum)]
enum NumberForText {
    One,
    #[column(other)]
    Other(u8),
}

#[derive(ColumnEnum)]
#[column(rename_all = "lower")]
enum UnknownCase {
    One,
}

#[derive(ColumnEnum)]
#[column(rename_all = "lowercase")]
enum SameName {
    One,
    ONE,
}

fn main() {}
