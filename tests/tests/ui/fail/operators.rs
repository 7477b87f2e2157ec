use subconscious::RedisModel;

#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    id: u64,
    #[column(index, sort)]
    age: u8,
    #[column(index)]
    country: Option<String>,
}

fn main() {
    let _ = User::filter_by(|u| u.age == 18);
    let _ = User::filter_by(|u| u.country != "CH");
    let _ = User::filter_by(|u| u.age > 18);
    let _ = User::filter_by(|u| u.age <= u.age);
    let _ = User::filter_by(|u| u.age.eq(18) && u.country.eq("CH"));
    let _ = User::filter_by(|u| u.age.eq(18) || u.country.eq("CH"));
    let _ = User::filter_by(|u| u.country.eq(None));
    let _ = User::filter_by(|u| u.country.ne("CH") & u.age);
}
