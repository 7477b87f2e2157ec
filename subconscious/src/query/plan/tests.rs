use std::time::Duration;

use super::Node;
use super::cost::{Attempt, ordered_scan_is_cheaper, ordered_scan_is_too_long};
use crate::model::schema::{ColumnSchema, ModelSchema};
use crate::query::filter::{Bound, Condition, DEEPEST};

fn schema() -> ModelSchema {
    ModelSchema::new(
        "User",
        vec![
            ColumnSchema::new::<u64>("id").key::<u64>(),
            ColumnSchema::new::<u8>("age").index::<u8>().sort::<u8>(),
            ColumnSchema::new::<Option<i64>>("seen").index::<Option<i64>>().sort::<Option<i64>>(),
            ColumnSchema::new::<f64>("weight").index::<f64>(),
            ColumnSchema::new::<Vec<String>>("tags").index::<Vec<String>>(),
            ColumnSchema::new::<String>("name").unique::<String>(),
        ],
    )
}

fn words(condition: &Condition) -> String {
    let words = Node::of(&schema(), condition).words(&schema());
    words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

fn bound(stored: &str, ordinal: u16, inclusive: bool) -> Option<Bound> {
    Some(Bound { stored: stored.into(), ordinal, inclusive })
}

#[test]
fn operators_come_before_their_parts() {
    let age = |stored: &str| Condition::Equals { column: 1, stored: stored.into() };
    let condition = age("18").or(Condition::IsNull { column: 2 }).and(age("19").not());
    assert_eq!(words(&condition), "and 2 or 2 null seen equals age 18 not equals age 19");
}

#[test]
fn values_of_one_column_are_a_list_of_what_indexes_have() {
    let any = |column, stored: &[&str]| {
        let equals = stored.iter().map(|&stored| Condition::Equals { column, stored: stored.into() });
        words(&equals.fold(Condition::Nothing, Condition::or))
    };
    assert_eq!(any(1, &["19", "18", "19"]), "in age v 2 18 19");
    assert_eq!(any(1, &["19", "19"]), "equals age 19");
    assert_eq!(any(3, &["1.5", "-0.0"]), "in weight f 2 0.0 1.5");
    assert_eq!(any(4, &["a", "b"]), "in tags l 2 a b");
    assert_eq!(any(5, &["b", "a"]), "unique name 2 a b");
    let seen = Condition::IsNull { column: 2 };
    let age = |stored: &str| Condition::Equals { column: 1, stored: stored.into() };
    assert_eq!(words(&age("1").or(seen).or(age("2"))), "or 2 null seen in age v 2 1 2");
}

#[test]
fn trivial_conditions_fold() {
    let age = Condition::Equals { column: 1, stored: b"1".to_vec() };
    assert_eq!(words(&Condition::All.and(age.clone())), "equals age 1");
    assert_eq!(words(&Condition::Nothing.or(age.clone())), "equals age 1");
    assert_eq!(words(&age.clone().not().not()), "equals age 1");
    assert_eq!(words(&Condition::Nothing.not()), "all");
    assert_eq!(words(&Condition::Nothing.and(age.clone())), "none");
    assert_eq!(words(&age.clone().or(Condition::Nothing.and(age))), "equals age 1");
}

#[test]
fn a_filter_that_would_take_a_script_too_long_is_known() {
    let is_long = |condition: Condition| Node::of(&schema(), &condition).is_long();
    let ages = |count: u32| {
        let equals = |age: u32| Condition::Equals { column: 1, stored: age.to_string().into() };
        (0..count).map(equals).fold(Condition::Nothing, Condition::or)
    };
    assert!(!is_long(ages(256)) && is_long(ages(257)));
    let nots = |count: u32| {
        let not = |age: u32| Condition::Equals { column: 1, stored: age.to_string().into() }.not();
        (0..count).map(not).fold(Condition::All, Condition::and)
    };
    assert!(!is_long(nots(11)) && is_long(nots(12)));
}

#[test]
fn a_filter_has_at_most_so_many_levels() {
    let age = || Condition::Equals { column: 1, stored: b"1".to_vec() };
    let mut condition = age();
    for level in 1..=DEEPEST {
        condition = if level % 2 == 0 { condition.or(age()) } else { condition.and(age()) };
        assert_eq!(condition.refusal(&schema()), None, "{level}");
    }
    // A further part of the outermost level makes the filter no deeper. Another level does.
    // Whatever is added after that, the filter stays too deep.
    condition = condition.or(age());
    assert_eq!(condition.refusal(&schema()), None);
    condition = condition.and(age());
    assert_eq!(condition, Condition::TooDeep);
    assert!(condition.refusal(&schema()).is_some_and(|why| why.contains("more than 300 levels")));
    for _ in 0..100_000 {
        condition = age().and(condition.not()).or(age());
    }
    assert_eq!(condition, Condition::TooDeep);
    // A NOT is a level, except where it cancels another NOT.
    let mut condition = age();
    for _ in 0..DEEPEST / 2 {
        condition = condition.and(age()).not();
    }
    assert_eq!(condition.refusal(&schema()), None);
    assert_eq!(condition.not().and(age()).refusal(&schema()), None);
}

#[test]
fn a_range_of_few_values_is_one_of_ordinals() {
    let range = |low, high| words(&Condition::Range { column: 1, low, high });
    assert_eq!(range(bound("18", 18, true), bound("22", 22, false)), "ordinals age 18 21");
    assert_eq!(range(bound("18", 18, false), None), "ordinals age 19 65535");
    assert_eq!(range(bound("22", 22, true), bound("18", 18, true)), "none");
    assert_eq!(range(None, bound("0", 0, false)), "none");
}

#[test]
fn a_range_of_a_sorted_set_has_the_first_place_in_it_and_the_first_after_it() {
    let range = |low, high| words(&Condition::Range { column: 2, low, high });
    assert_eq!(range(bound("5", 0, true), bound("9", 0, false)), "range seen i 5  9 ");
    assert_eq!(
        range(bound("5", 0, false), bound("9", 0, true)),
        r"range seen i 5 \x7f\xff\xff\xff\xff 9 \x7f\xff\xff\xff\xff"
    );
    assert_eq!(range(None, bound("9", 0, false)), "range seen i   9 ");
}

#[test]
fn a_beginning_of_texts_is_the_range_up_to_the_first_text_after_them() {
    let begins = |text: &str| words(&Condition::StartsWith { column: 2, beginning: text.into() });
    assert_eq!(begins("ab"), "range seen i 0 ab 0 ac");
    assert_eq!(begins(""), "range seen i    ");
    // A NUL is written as NUL FF. As no byte is greater than FF, the byte before it is increased.
    assert_eq!(begins("a\0"), r"range seen i 0 a\x00\xff 0 a\x01");
}

#[test]
fn ranges_of_one_column_are_one() {
    let seen = |low, high| Condition::Range { column: 2, low, high };
    let age = |low, high| Condition::Range { column: 1, low, high };
    let since = seen(bound("5", 0, true), None);
    let until = seen(None, bound("90", 0, false));
    assert_eq!(words(&since.clone().and(until.clone())), "range seen i 5  90 ");
    let both = since.clone().and(Condition::IsNull { column: 1 }).and(until).and(seen(None, bound("10", 0, false)));
    assert_eq!(words(&both), "and 2 null age range seen i 5  10 ");
    assert_eq!(words(&since.clone().and(seen(None, bound("5", 0, false)))), "none");
    assert_eq!(words(&since.clone().and(Condition::StartsWith { column: 2, beginning: vec![] })), "range seen i 5   ");
    assert_eq!(words(&age(bound("3", 3, true), None).and(age(None, bound("9", 9, false)))), "ordinals age 3 8");
    // The same holds for a range that is the only part left of an OR.
    let left = seen(bound("7", 0, true), bound("6", 0, true)).or(since.clone());
    assert_eq!(words(&left.and(seen(None, bound("9", 0, false)))), "range seen i 5  9 ");
    // The ranges in an OR are not merged.
    let apart = since.or(seen(None, bound("3", 0, false)));
    assert_eq!(words(&apart), "or 2 range seen i 5    range seen i   3 ");
}

#[test]
fn a_range_of_the_order_is_apart_from_the_rest() {
    let range = Condition::Range { column: 2, low: bound("5", 0, true), high: None };
    let null = Condition::IsNull { column: 1 };
    let node = |condition: &Condition| Node::of(&schema(), condition);
    let split = |condition: &Condition, column| node(condition).split_range(column);
    assert_eq!(split(&range, 2), (node(&range), Node::All));
    let both = range.clone().and(null.clone());
    assert_eq!(split(&both, 2), (node(&range), node(&null)));
    assert_eq!(split(&both, 1), (Node::All, node(&both)));
    let either = range.or(null);
    assert_eq!(split(&either, 2), (Node::All, node(&either)));
}

#[test]
fn the_cheaper_way_is_taken_and_given_up_when_it_was_not() {
    // Ten rows are met soon if many match, but not if only ten match.
    assert!(ordered_scan_is_cheaper(1_000_000, 4_000, 10));
    assert!(!ordered_scan_is_cheaper(1_000_000, 10, 10));
    assert!(ordered_scan_is_cheaper(1_000_000, 500_000, u64::MAX));
    assert!(!ordered_scan_is_cheaper(1_000_000, 100_000, u64::MAX));
    assert!(!ordered_scan_is_too_long(5_000, 4_000));
    assert!(ordered_scan_is_too_long(30_000, 4_000));
}

#[test]
fn a_walk_is_given_up_when_bitmaps_would_have_cost_less() {
    let budget = Duration::from_millis(1);
    let tried = |microseconds, looked_at, found| Attempt { microseconds, looked_at, found };
    // One row in ten matches, so 50 more take 2.1 ms. This is longer than two calls, but shorter
    // than making all bitmaps of many segments.
    assert!(tried(1_000, 500, 50).is_too_long(50, 200, budget));
    assert!(!tried(1_000, 500, 50).is_too_long(40, 200, budget));
    assert!(!tried(1_000, 500, 50).is_too_long(50, 3_000, budget));
    assert!(tried(1_000, 500, 0).is_too_long(10, 3_000, budget));
    // If each call does only a little, its time decides.
    assert!(tried(50_000, 1, 1).is_too_long(19, 1_500, budget));
    assert!(!tried(2_000, 500, 0).is_too_long(1, 3_000, budget));
    assert!(tried(3_000, 750, 0).is_too_long(1, 3_000, budget));
}
