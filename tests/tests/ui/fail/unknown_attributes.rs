use subconscious::RedisModel;

// All mistakes of a model in one compile.
#[derive(RedisModel)]
#[model(nmae = "users", partition = 3)]
struct User {
    #[column(primary_key, primary_key)]
    id: u64,
    #[column(indexd)]
    name: String,
    #[column(index = true, rename)]
    age: u8,
    #[column(skip, index)]
    cache: u8,
    #[column(frobnicate)]
    other: u8,
}

fn main() {}
