use std::time::Duration;

use super::{Tried, program, split_range, walking_is_cheaper, walking_is_too_long};
use crate::query::evaluate::read_program;
use crate::query::filter::{Bound, Condition};
use crate::schema::{ColumnSchema, ModelSchema};

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
    let words = program(&schema(), condition);
    // On a replica, it is read here.
    read_program(words.clone());
    words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

fn bound(stored: &str, ordinal: u16, inclusive: bool) -> Option<Bound> {
    Some(Bound { stored: stored.into(), ordinal, inclusive })
}

#[test]
fn operators_come_before_their_parts() {
    let age = |stored: &str| Condition::Equals { column: 1, stored: stored.into() };
    let condition = age("18").or(Condition::IsNull { column: 2 }).and(age("19").not());
    assert_eq!(words(&condition), "& 2 | 2 = age 18 0 seen ! = age 19");
}

#[test]
fn values_of_one_column_are_a_list_where_records_have_them_as_indexes_do() {
    let either = |column, one: &str, two: &str| {
        let equals = |stored: &str| Condition::Equals { column, stored: stored.into() };
        words(&equals(one).or(equals(two)))
    };
    assert_eq!(either(1, "18", "19"), "i age 2 18 19");
    assert_eq!(either(3, "1.5", "-0.0"), "| 2 = weight 1.5 = weight 0.0");
    assert_eq!(either(4, "a", "b"), "| 2 = tags a = tags b");
    assert_eq!(either(5, "a", "b"), "| 2 q name a q name b");
}

#[test]
fn trivial_conditions_fold() {
    let age = Condition::Equals { column: 1, stored: b"1".to_vec() };
    assert_eq!(words(&Condition::All.and(age.clone())), "= age 1");
    assert_eq!(words(&Condition::Nothing.or(age.clone())), "= age 1");
    assert_eq!(words(&age.clone().not().not()), "= age 1");
    assert_eq!(words(&Condition::Nothing.not()), "*");
}

#[test]
fn a_range_of_few_values_is_one_of_ordinals() {
    let range = |low, high| words(&Condition::Range { column: 1, low, high });
    assert_eq!(range(bound("18", 18, true), bound("22", 22, false)), "v age 18 21");
    assert_eq!(range(bound("18", 18, false), None), "v age 19 65535");
    assert_eq!(range(bound("22", 22, true), bound("18", 18, true)), "-");
    assert_eq!(range(None, bound("0", 0, false)), "-");
}

#[test]
fn a_range_of_a_sorted_set_has_the_first_place_in_it_and_the_first_after_it() {
    let range = |low, high| words(&Condition::Range { column: 2, low, high });
    assert_eq!(range(bound("5", 0, true), bound("9", 0, false)), "z seen i 5  9 ");
    assert_eq!(
        range(bound("5", 0, false), bound("9", 0, true)),
        r"z seen i 5 \x7f\xff\xff\xff\xff 9 \x7f\xff\xff\xff\xff"
    );
    assert_eq!(range(None, bound("9", 0, false)), "z seen i   9 ");
}

#[test]
fn a_beginning_of_texts_is_the_range_up_to_the_first_text_after_them() {
    let begins = |text: &str| words(&Condition::StartsWith { column: 2, beginning: text.into() });
    assert_eq!(begins("ab"), "z seen i 0 ab 0 ac");
    assert_eq!(begins(""), "z seen i    ");
    // A NUL is NUL FF there, and FF has nothing after it.
    assert_eq!(begins("a\0"), r"z seen i 0 a\x00\xff 0 a\x01");
}

#[test]
fn ranges_of_one_column_are_one() {
    let seen = |low, high| Condition::Range { column: 2, low, high };
    let age = |low, high| Condition::Range { column: 1, low, high };
    let since = seen(bound("5", 0, true), None);
    let until = seen(None, bound("90", 0, false));
    assert_eq!(words(&since.clone().and(until.clone())), "z seen i 5  90 ");
    let both = since.clone().and(Condition::IsNull { column: 1 }).and(until).and(seen(None, bound("10", 0, false)));
    assert_eq!(words(&both), "& 2 0 age z seen i 5  10 ");
    assert_eq!(words(&since.clone().and(seen(None, bound("5", 0, false)))), "-");
    assert_eq!(words(&since.clone().and(Condition::StartsWith { column: 2, beginning: vec![] })), "z seen i 5   ");
    assert_eq!(words(&age(bound("3", 3, true), None).and(age(None, bound("9", 9, false)))), "v age 3 8");
    // Of an OR they are not.
    let apart = since.or(seen(None, bound("3", 0, false)));
    assert_eq!(words(&apart), "| 2 z seen i 5    z seen i   3 ");
}

#[test]
fn a_range_of_the_order_is_apart_from_the_rest() {
    let range = Condition::Range { column: 2, low: bound("5", 0, true), high: None };
    let null = Condition::IsNull { column: 1 };
    assert_eq!(split_range(&range, 2), (range.clone(), Condition::All));
    assert_eq!(split_range(&range.clone().and(null.clone()), 2), (range.clone(), null.clone()));
    assert_eq!(split_range(&range.clone().and(null.clone()), 1), (Condition::All, range.clone().and(null.clone())));
    let either = range.or(null);
    assert_eq!(split_range(&either, 2), (Condition::All, either));
}

#[test]
fn the_cheaper_way_is_taken_and_given_up_when_it_was_not() {
    // Ten of many are soon met, ten of ten are not.
    assert!(walking_is_cheaper(1_000_000, 4_000, 10));
    assert!(!walking_is_cheaper(1_000_000, 10, 10));
    assert!(walking_is_cheaper(1_000_000, 500_000, u64::MAX));
    assert!(!walking_is_cheaper(1_000_000, 100_000, u64::MAX));
    assert!(!walking_is_too_long(5_000, 4_000));
    assert!(walking_is_too_long(30_000, 4_000));
}

#[test]
fn a_walk_is_given_up_when_bitmaps_would_have_cost_less() {
    let budget = Duration::from_millis(1);
    let tried = |microseconds, looked, met| Tried { microseconds, looked, met };
    // One of ten matches: fifty more take 2.1 ms, which is more than two calls, but not than all bitmaps of many segments.
    assert!(tried(1_000, 500, 50).is_too_much(50, 200, budget));
    assert!(!tried(1_000, 500, 50).is_too_much(40, 200, budget));
    assert!(!tried(1_000, 500, 50).is_too_much(50, 3_000, budget));
    assert!(tried(1_000, 500, 0).is_too_much(10, 3_000, budget));
    // Where each call does but little, the time tells.
    assert!(tried(50_000, 1, 1).is_too_much(19, 1_500, budget));
    assert!(!tried(2_000, 500, 0).is_too_much(1, 3_000, budget));
    assert!(tried(3_000, 750, 0).is_too_much(1, 3_000, budget));
}
