use subconscious::RedisModel;

#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    id: u64,
    name: String,
    #[column(index, sort)]
    age: u8,
}

fn main() {
    let _ = User::all().order_by(|u| u.age);
    let _ = User::all().order_by(|u| u.name.asc());
    let _ = User::all().order_by("age");
    let _ = User::all().after("text of a cursor");
    let _ = User::all().after(None).limit(20_u32);
}
