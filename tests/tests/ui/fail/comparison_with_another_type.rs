use subconscious::{ColumnEnum, RedisModel};

#[derive(ColumnEnum, Clone, Copy)]
enum Gender {
    Female,
    Male,
}

#[derive(RedisModel)]
struct User {
    #[column(primary_key)]
    id: u64,
    #[column(index, sort)]
    age: u8,
    #[column(index)]
    gender: Option<Gender>,
    #[column(index)]
    name: String,
}

#[derive(RedisModel)]
struct Other {
    #[column(primary_key)]
    id: u64,
    #[column(index)]
    name: String,
}

fn main() {
    let _ = User::filter_by(|u| u.age.eq("18"));
    let _ = User::filter_by(|u| u.age.between(18u8, 20u16));
    let _ = User::filter_by(|u| u.gender.eq("female"));
    let _ = User::filter_by(|u| u.name.is_none());
    let _ = User::filter_by(|_| Other::columns().name.eq("Ann"));
    let _ = (Gender::Female, Gender::Male);
}
