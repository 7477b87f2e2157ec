use subconscious::RedisModel;

#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    id: u64,
    name: String,
    #[column(index)]
    age: Option<u8>,
    #[column(sort)]
    height: u16,
}

fn main() {
    let _ = User::filter_by(|u| u.name.eq("Ann"));
    let _ = User::filter_by(|u| u.name.is_in(["Ann", "Ben"]));
    let _ = User::filter_by(|u| u.age.gt(18));
    let _ = User::all().order_by(|u| u.age.desc());
    let _ = User::filter_by(|u| u.height.starts_with("1"));
    let _ = User::all().select(|u| (u.name, 3));
    let _ = User::filter_by(|u| u.nmae.eq("Ann"));
}
