//! Counts by the values of a column.

use std::collections::BTreeSet;
use std::time::Duration;

use subconscious::{ColumnEnum, Error, RedisModel};
use subconscious_tests::Fixture;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ColumnEnum)]
enum State {
    Waiting,
    Done,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Job {
    #[column(primary_key, sort)]
    id: u32,
    #[column(index)]
    state: State,
    #[column(index)]
    weight: f64,
    /// Each value once, or few times.
    #[column(index)]
    owner: Option<u64>,
    #[column(index)]
    tags: Vec<String>,
    #[column(index)]
    labels: Option<BTreeSet<String>>,
    #[column(sort)]
    at: i64,
}

fn job(id: u32) -> Job {
    Job {
        id,
        state: if id.is_multiple_of(5) { State::Waiting } else { State::Done },
        weight: [0.0, -0.0, 1.5][id as usize % 3],
        owner: id.is_multiple_of(2).then_some(u64::from(id / 4)),
        tags: ["a", "b", "a,b", ""].iter().take(id as usize % 5).map(|tag| (*tag).to_owned()).collect(),
        labels: id.is_multiple_of(3).then(|| ["x".to_owned(), format!("{}", id % 2)].into()),
        at: i64::from(id * 7919 % 6_000),
    }
}

async fn jobs(f: &Fixture) -> Vec<Job> {
    let mut all: Vec<Job> = (0..6_000).map(job).collect();
    Job::save_many(&f.db, &mut all).await.unwrap().into_result().unwrap();
    all
}

#[tokio::test]
async fn records_are_counted_by_what_they_have() {
    let f = Fixture::new().await;
    assert_eq!(Job::all().count_by(&f.db, |j| j.state).await.unwrap(), []);
    let all = jobs(&f).await;
    // Calls that end after each step have to come to the same.
    for budget in [0, 100, 1_000, 10_000_000] {
        let db = &f.db.with_query_budget(Duration::from_micros(budget));
        assert_eq!(
            Job::all().count_by(db, |j| j.state).await.unwrap(),
            [(State::Done, 4_800), (State::Waiting, 1_200)]
        );
        // 0.0 and -0.0 are one value.
        assert_eq!(Job::all().count_by(db, |j| j.weight).await.unwrap(), [(0.0, 4_000), (1.5, 2_000)]);
        let some = Job::filter_by(|j| j.state.eq(State::Waiting) & !j.weight.eq(1.5));
        assert_eq!(some.count_by(db, |j| j.weight).await.unwrap(), [(0.0, 800)]);
        // Elements, not lists; an element that a record has twice counts once.
        let tags = |tags: [(&str, u64); 4]| tags.map(|(tag, count)| (tag.to_owned(), count)).to_vec();
        let expected = tags([("a", 4_800), ("b", 3_600), ("a,b", 2_400), ("", 1_200)]);
        assert_eq!(Job::all().count_by(db, |j| j.tags).await.unwrap(), expected);
        // The records with null have no elements.
        let expected = [("x".to_owned(), 2_000), ("0".to_owned(), 1_000), ("1".to_owned(), 1_000)];
        assert_eq!(Job::all().count_by(db, |j| j.labels).await.unwrap(), expected);
        // A range that is wider than what a script lists, alone, with other conditions, and where
        // it is not ANDed.
        for filter in [
            Job::filter_by(|j| j.at.ge(700)),
            Job::filter_by(|j| j.at.ge(700) & !j.weight.eq(1.5)),
            Job::filter_by(|j| j.at.ge(700) | j.weight.eq(1.5)),
        ] {
            let found = filter.fetch(db).await.unwrap();
            let count = |state| found.iter().filter(|job| job.state == state).count() as u64;
            let expected = [(State::Done, count(State::Done)), (State::Waiting, count(State::Waiting))];
            assert_eq!(filter.count_by(db, |j| j.state).await.unwrap(), expected, "{filter:?}");
        }
    }
    // More values than are looked for one by one: 1,500 that two records have each, in the order of
    // the values.
    let owners = Job::all().count_by(&f.db, |j| j.owner).await.unwrap();
    assert_eq!(owners.len(), 1_501);
    assert_eq!(owners[0], (None, 3_000));
    assert!(owners[1..].iter().zip(0..).all(|((owner, count), at)| (*owner, *count) == (Some(at), 2)), "{owners:?}");
    let some = Job::filter_by(|j| j.owner.is_in(0..600u64)).count_by(&f.db, |j| j.owner).await.unwrap();
    assert_eq!(some, (0..600).map(|owner| (Some(owner), 2)).collect::<Vec<_>>());
    assert_eq!(all.len(), 6_000);
}

#[tokio::test]
async fn records_are_counted_by_several_columns() {
    let f = Fixture::new().await;
    assert_eq!(Job::all().count_by(&f.db, |j| (j.state, j.weight)).await.unwrap(), []);
    let all = jobs(&f).await;
    for budget in [0, 1_000, 10_000_000] {
        let db = &f.db.with_query_budget(Duration::from_micros(budget));
        // The values of one column after the other, as there are many records for each.
        let pairs = Job::all().count_by(db, |j| (j.weight, j.state)).await.unwrap();
        let expected = [
            ((0.0, State::Done), 3_200),
            ((1.5, State::Done), 1_600),
            ((0.0, State::Waiting), 800),
            ((1.5, State::Waiting), 400),
        ];
        assert_eq!(pairs, expected);
        let some = Job::filter_by(|j| j.at.ge(700) & j.owner.is_none());
        let found: Vec<&Job> = all.iter().filter(|job| job.at >= 700 && job.owner.is_none()).collect();
        let pairs = some.count_by(db, |j| (j.state, j.weight)).await.unwrap();
        assert_eq!(pairs.iter().map(|(_, count)| count).sum::<u64>(), found.len() as u64);
        for ((state, weight), count) in pairs {
            let expected = found.iter().filter(|job| job.state == state && job.weight == weight).count();
            assert_eq!(count, expected as u64, "{state:?} {weight}");
        }
        // Lists, and values that few records have: the records are read.
        let mut tagged =
            Job::filter_by(|j| j.id.lt(3_000)).count_by(db, |j| (j.tags, j.state, j.labels)).await.unwrap();
        let mut expected = std::collections::BTreeMap::<(String, bool, String), u64>::new();
        for job in &all[..3_000] {
            for tag in &job.tags {
                for label in job.labels.iter().flatten() {
                    *expected.entry((tag.clone(), job.state == State::Done, label.clone())).or_default() += 1;
                }
            }
        }
        let first = tagged[0].1;
        assert!(
            tagged.is_sorted_by_key(|(_, count)| std::cmp::Reverse(*count))
                && first == *expected.values().max().unwrap()
        );
        tagged.sort_by_key(|((tag, state, label), _)| (tag.clone(), *state == State::Done, label.clone()));
        let tagged: Vec<_> = tagged
            .into_iter()
            .map(|((tag, state, label), count)| ((tag, state == State::Done, label), count))
            .collect();
        assert_eq!(tagged, expected.into_iter().collect::<Vec<_>>());
    }
    // Each owner has one or two, and null has half of all.
    let owners = Job::all().count_by(&f.db, |j| (j.owner, j.state, j.weight)).await.unwrap();
    assert_eq!(owners.iter().map(|(_, count)| count).sum::<u64>(), 6_000);
    assert_eq!(owners[0], ((None, State::Done, 0.0), 1_600));
    let four =
        Job::filter_by(|j| j.owner.eq(7)).count_by(&f.db, |j| (j.owner, j.state, j.weight, j.tags)).await.unwrap();
    assert_eq!(four[0], ((Some(7), State::Done, 0.0, "a".to_owned()), 1));
}

#[tokio::test]
async fn a_group_that_cannot_be_read_is_an_error() {
    let f = Fixture::new().await;
    job(5).save(&f.db).await.unwrap();
    let () = f.run(redis::cmd("HSET").arg(f.key("{Job}:r:5")).arg("state").arg("Sleeping")).await;
    let error = Job::all().count_by(&f.db, |j| j.state).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { column: Some("state"), .. }), "{error}");
    assert!(error.to_string().contains("Sleeping"), "{error}");
}
