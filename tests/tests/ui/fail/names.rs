use subconscious::RedisModel;

#[derive(RedisModel)]
#[model(name = "a{b}")]
struct Braces {
    #[column(primary_key)]
    id: u64,
    name: String,
    #[column(rename = "name")]
    title: String,
    #[column(rename = "a:b")]
    colon: String,
    #[column(rename = "#")]
    row: String,
    #[column(rename = "")]
    empty: String,
}

fn main() {}
