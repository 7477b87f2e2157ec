//! The records, the questions asked about them, and the right answers, found by looking at every
//! record.

use std::collections::BTreeMap;

use benches::{mix, scatter};
use subconscious::{ColumnEnum, RedisModel};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
#[column(rename_all = "lowercase")]
pub(crate) enum Gender {
    Male,
    Female,
}

impl Gender {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
        }
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Male, Self::Female].into_iter().find(|gender| gender.text() == text)
    }
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
pub(crate) struct User {
    #[column(primary_key)]
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    #[column(index, sort)]
    pub(crate) age: u8,
    #[column(index)]
    pub(crate) gender: Option<Gender>,
    #[column(index)]
    pub(crate) country_code: Option<String>,
    #[column(sort)]
    pub(crate) created_at: i64,
}

/// As many as users, but only for the workload that asks for them.
#[derive(Debug, Clone, PartialEq, RedisModel)]
pub(crate) struct Title {
    #[column(primary_key)]
    pub(crate) uuid: Uuid,
    #[column(sort)]
    pub(crate) title: String,
    pub(crate) pages: u16,
}

/// A country that 100 records have, however many there are.
const FEW: &str = "XX";
/// A country that a single record has.
const ONE: &str = "YY";

/// The same user always. Ages are even, countries skewed (`C00` has a quarter), creation times
/// distinct and in no order.
pub(crate) fn user(at: u64, records: u64) -> User {
    let mixed = mix(at);
    let skewed = (mixed % 50) * (mixed / 50 % 50) * (mixed / 5_250_000 % 50) / 2_500;
    let country = match at {
        at if at == records / 2 => ONE.into(),
        at if at % (records / 100).max(1) == 7 => FEW.into(),
        _ => format!("C{skewed:02}"),
    };
    User {
        uuid: Uuid::from_u64_pair(mix(!at), at),
        name: format!("User number {at}"),
        age: (mixed / 2_500 % 100) as u8,
        gender: [Some(Gender::Male), Some(Gender::Female), None][(mixed / 250_000 % 21 / 10) as usize],
        country_code: Some(country),
        created_at: 1_700_000_000_000 + i64::from(scatter(at as u32)),
    }
}

/// The same title always: fourteen small letters, which no search folds, stems or splits. Distinct,
/// as `mix` is one to one.
pub(crate) fn title(at: u64) -> Title {
    let mut left = mix(at);
    let letter = |_| {
        let letter = b'a' + (left % 26) as u8;
        left /= 26;
        char::from(letter)
    };
    let title = (0..14).map(letter).collect();
    Title { uuid: Uuid::from_u64_pair(mix(!at), at), title, pages: (at % 1_000) as u16 }
}

/// One question. Its conditions are joined by AND, but for [`or_not`](Self::or_not).
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    /// From one age to another, both included.
    pub(crate) ages: Option<(u8, u8)>,
    /// The ages are meant as a list of values, not as a range.
    pub(crate) listed: bool,
    pub(crate) gender: Option<Gender>,
    pub(crate) country: Option<String>,
    pub(crate) created: Option<(i64, i64)>,
    /// `(country | ages) & !gender`.
    pub(crate) or_not: bool,
    /// Only the number is asked for.
    pub(crate) count: bool,
    /// Only the number for each country is asked for.
    pub(crate) groups: bool,
    /// Titles that begin so are asked for, not users.
    pub(crate) beginning: Option<String>,
    /// By `created_at`, titles by themselves; whether it goes down.
    pub(crate) order: Option<bool>,
    /// The creation time of the record that the page before ended with, for those who go on from
    /// there.
    pub(crate) after: Option<i64>,
    /// For those who can't, and for pages without a page before.
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Count(u64),
    /// Countries that have any, and how many.
    Groups(Vec<(Option<String>, u64)>),
    Rows(Vec<User>),
    Titles(Vec<Title>),
}

impl Answer {
    /// The number of rows or groups, or of things counted.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Count(count) => *count,
            Self::Groups(groups) => groups.len() as u64,
            Self::Rows(rows) => rows.len() as u64,
            Self::Titles(titles) => titles.len() as u64,
        }
    }

    /// Rows and groups that nobody ordered are the same in any order.
    pub(crate) fn is(&self, other: &Self, ordered: bool) -> bool {
        let sorted = |answer: &Self| {
            let mut answer = answer.clone();
            match &mut answer {
                Self::Groups(groups) => groups.sort(),
                Self::Rows(rows) => rows.sort_by_key(|user| user.uuid),
                Self::Count(_) | Self::Titles(_) => {}
            }
            answer
        };
        if ordered { self == other } else { sorted(self) == sorted(other) }
    }
}

impl Job {
    fn matches(&self, user: &User) -> bool {
        let age = self.ages.is_none_or(|(from, to)| (from..=to).contains(&user.age));
        let gender = self.gender.is_none_or(|gender| user.gender == Some(gender));
        let country = self.country.is_none() || user.country_code == self.country;
        if self.or_not {
            return (age || country) && !gender;
        }
        age && gender && country && self.created.is_none_or(|(from, to)| (from..=to).contains(&user.created_at))
    }

    /// The lowest and the highest score that a walk along `created_at` has to look at, as Redis
    /// writes them.
    pub(crate) fn scores(&self) -> (String, String) {
        let (low, high) =
            self.created.map_or(("-inf".into(), "+inf".into()), |(low, high)| (low.to_string(), high.to_string()));
        match (self.after, self.order) {
            (Some(after), Some(true)) => (low, format!("({after}")),
            (Some(after), _) => (format!("({after}"), high),
            (None, _) => (low, high),
        }
    }

    /// How many rows to leave out for those who go on from where the page before ended.
    pub(crate) fn skip(&self) -> usize {
        if self.after.is_some() { 0 } else { self.offset }
    }
}

/// What is measured under one name.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Rows, not calls, are counted.
    pub(crate) rows: bool,
    /// How many records a question's filter matches, if there is one: the median.
    pub(crate) matches: Option<u64>,
    pub(crate) task: Task,
}

pub(crate) enum Task {
    /// Questions of one kind, asked in turn, and their answers.
    Query(Vec<(Job, Answer)>),
    /// Loads by primary key, so many in flight.
    Load(usize),
    /// Saves of new records, so many in flight.
    Save(usize),
}

/// All workloads; the users are in the order of creation.
pub(crate) fn workloads(users: &[User]) -> Vec<Workload> {
    let mut titles: Vec<Title> = (0..users.len() as u64).map(title).collect();
    titles.sort_by(|one, other| one.title.cmp(&other.title));
    let country = |number: usize| Some(format!("C{number:02}"));
    let three = |turn: usize| Job {
        ages: Some((18 + turn as u8, 22 + turn as u8)),
        listed: true,
        gender: Some(Gender::Male),
        country: country(0),
        ..Job::default()
    };
    let newest = |job: Job| Job { order: Some(true), limit: 10, ..job };
    let either = |turn: usize| [Gender::Male, Gender::Female][turn % 2];
    let quantile = |part: f64| users[(part * (users.len() - 1) as f64) as usize].created_at;
    let deep = (users.len() / 5).min(20_000);
    let kinds: [(&'static str, &dyn Fn(usize) -> Job); 14] = [
        ("all rows", &|turn| three(turn)),
        ("one of all", &|_| Job { country: Some(ONE.into()), ..Job::default() }),
        ("newest 10, all three", &|turn| newest(three(turn))),
        ("newest 10, common", &|turn| {
            newest(Job { gender: Some(either(turn)), country: country(0), ..Job::default() })
        }),
        ("newest 10, rare", &|turn| {
            let ages = Some((40 + turn as u8, 43 + turn as u8));
            newest(Job { ages, listed: true, gender: Some(Gender::Male), country: country(0), ..Job::default() })
        }),
        ("newest 10 of few", &|_| newest(Job { country: Some(FEW.into()), ..Job::default() })),
        ("range page", &|turn| Job {
            ages: Some((20 + turn as u8, 39 + turn as u8)),
            order: Some(true),
            offset: 100,
            limit: 20,
            ..Job::default()
        }),
        ("own range page", &|turn| Job {
            created: Some((quantile(0.2 + 0.05 * turn as f64), quantile(0.7 + 0.05 * turn as f64))),
            gender: Some(Gender::Female),
            order: Some(false),
            offset: 100,
            limit: 20,
            ..Job::default()
        }),
        ("deep page", &|turn| {
            let gender = Some(either(turn));
            let before = users.iter().rev().filter(|user| user.gender == gender).nth(deep - 1);
            let after = before.map(|user| user.created_at);
            Job { gender, order: Some(true), after, offset: deep, limit: 20, ..Job::default() }
        }),
        ("count", &|turn| Job { count: true, ..three(turn) }),
        ("count, or not", &|turn| Job {
            country: country(8 + turn),
            ages: Some((30 + turn as u8, 30 + turn as u8)),
            listed: true,
            gender: Some(Gender::Female),
            or_not: true,
            count: true,
            ..Job::default()
        }),
        ("count, range", &|turn| Job {
            created: Some((quantile(0.48 + 0.01 * turn as f64), i64::from(i32::MAX) * 1_000)),
            gender: Some(Gender::Male),
            count: true,
            ..Job::default()
        }),
        ("group count", &|turn| Job { gender: Some(either(turn)), groups: true, ..Job::default() }),
        ("starts with", &|turn| {
            let beginning = Some(["ba", "ed", "in", "ro", "st"][turn].into());
            Job { beginning, order: Some(false), limit: 20, ..Job::default() }
        }),
    ];
    let mut all: Vec<Workload> = kinds
        .into_iter()
        .map(|(name, job)| {
            let (matches, cases): (Vec<f64>, _) = (0..5)
                .map(job)
                .map(|job| {
                    let (matches, answer) = answer(users, &titles, &job);
                    (matches as f64, (job, answer))
                })
                .unzip();
            let matches = Some(benches::median(matches.into_iter()) as u64);
            Workload { name, rows: name == "all rows", matches, task: Task::Query(cases) }
        })
        .collect();
    all.extend([
        Workload { name: "load, 1 in flight", rows: false, matches: None, task: Task::Load(1) },
        Workload { name: "load, 50 in flight", rows: false, matches: None, task: Task::Load(50) },
        Workload { name: "save, 1 in flight", rows: false, matches: None, task: Task::Save(1) },
        Workload { name: "save, 50 in flight", rows: false, matches: None, task: Task::Save(50) },
    ]);
    all
}

/// The answer, and how many records match; the titles are in order.
fn answer(users: &[User], titles: &[Title], job: &Job) -> (usize, Answer) {
    if let Some(beginning) = &job.beginning {
        let found: Vec<&Title> = titles.iter().filter(|title| title.title.starts_with(beginning)).collect();
        return (found.len(), Answer::Titles(found.into_iter().take(job.limit).cloned().collect()));
    }
    let mut rows: Vec<&User> = users.iter().filter(|user| job.matches(user)).collect();
    let matches = rows.len();
    if job.count {
        return (matches, Answer::Count(matches as u64));
    }
    if job.groups {
        let mut counts = BTreeMap::new();
        for user in rows {
            *counts.entry(user.country_code.clone()).or_default() += 1;
        }
        return (matches, Answer::Groups(counts.into_iter().collect()));
    }
    if job.order == Some(true) {
        rows.reverse();
    }
    let limit = if job.limit == 0 { usize::MAX } else { job.limit };
    (matches, Answer::Rows(rows.into_iter().skip(job.offset).take(limit).cloned().collect()))
}
