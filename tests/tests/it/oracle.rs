//! A model, random filters and orders of it, and what a plain list answers to them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;
use subconscious::{ColumnEnum, Filter, Order, RedisModel};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ColumnEnum)]
pub(crate) enum Size {
    // Not in the order of the alphabet.
    Small,
    Medium,
    Large,
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
pub(crate) struct Item {
    #[column(primary_key)]
    pub(crate) id: String,
    #[column(index, sort)]
    pub(crate) age: u8,
    #[column(index, sort)]
    pub(crate) size: Option<Size>,
    #[column(index)]
    pub(crate) country: Option<String>,
    #[column(sort, index)]
    pub(crate) price: Option<i64>,
    #[column(sort)]
    pub(crate) weight: f64,
    #[column(sort)]
    pub(crate) title: String,
}

/// So many records, with common, rare and unique values.
pub(crate) fn items(count: usize) -> Vec<Item> {
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..count)
        .map(|at| Item {
            id: format!("{at:03}:{{x}}"),
            age: random(40) as u8,
            size: [None, Some(Size::Small), Some(Size::Medium), Some(Size::Large)][random(4) as usize],
            country: ["", "USA", "USA", "USA", "DE", "a:b"]
                .get(random(7) as usize)
                .map(|country| (*country).to_owned()),
            price: match random(10) {
                0 => None,
                1 => Some(i64::MAX - random(3) as i64),
                2 => Some(i64::MIN + random(3) as i64),
                3 => Some((1 << 53) - 1 + random(4) as i64),
                _ => Some(random(60) as i64 - 30),
            },
            weight: match random(8) {
                0 => 0.0,
                1 => -0.0,
                2 => f64::INFINITY,
                3 => f64::NEG_INFINITY,
                _ => random(1000) as f64 / 8.0 - 50.0,
            },
            title: ["", "a", "a\0", "a\0b", "B", "é", "\u{FFFF}", "😀", "zz"][random(9) as usize].to_owned(),
        })
        .collect()
}

#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Age(u8),
    Ages(Vec<u8>),
    AgeBetween(u8, u8),
    AgeBelow(u8),
    Size(Size),
    SizeAtLeast(Size),
    NoSize,
    Country(String),
    NoCountry,
    SomeCountry,
    Price(i64),
    PriceBelow(i64),
    PriceAbove(i64),
    PriceBetween(i64, i64),
    Weight(f64),
    WeightAtMost(f64),
    WeightAtLeast(f64),
    Titles(Vec<String>),
    TitleAbove(String),
    TitleAtMost(String),
    TitleBegins(String),
    And(Box<Wanted>, Box<Wanted>),
    Or(Box<Wanted>, Box<Wanted>),
    Not(Box<Wanted>),
}

use Wanted as W;

impl Wanted {
    pub(crate) fn filter(&self) -> Filter<Item> {
        let u = Item::columns();
        match self.clone() {
            W::Age(age) => u.age.eq(age),
            W::Ages(ages) => u.age.is_in(ages),
            W::AgeBetween(low, high) => u.age.between(low, high),
            W::AgeBelow(age) => u.age.lt(age),
            W::Size(size) => u.size.eq(size),
            W::SizeAtLeast(size) => u.size.ge(size),
            W::NoSize => u.size.is_none(),
            W::Country(country) => u.country.eq(country),
            W::NoCountry => u.country.is_none(),
            W::SomeCountry => u.country.is_some(),
            W::Price(price) => u.price.eq(price),
            W::PriceBelow(price) => u.price.lt(price),
            W::PriceAbove(price) => u.price.gt(price),
            W::PriceBetween(low, high) => u.price.between(low, high),
            W::Weight(weight) => u.weight.eq(weight),
            W::WeightAtMost(weight) => u.weight.le(weight),
            W::WeightAtLeast(weight) => u.weight.ge(weight),
            W::Titles(titles) => u.title.is_in(titles),
            W::TitleAbove(title) => u.title.gt(title),
            W::TitleAtMost(title) => u.title.le(title),
            W::TitleBegins(title) => u.title.starts_with(title),
            W::And(left, right) => left.filter() & right.filter(),
            W::Or(left, right) => left.filter() | right.filter(),
            W::Not(inner) => !inner.filter(),
        }
    }

    pub(crate) fn matches(&self, item: &Item) -> bool {
        match self {
            W::Age(age) => item.age == *age,
            W::Ages(ages) => ages.contains(&item.age),
            W::AgeBetween(low, high) => (*low..=*high).contains(&item.age),
            W::AgeBelow(age) => item.age < *age,
            W::Size(size) => item.size == Some(*size),
            W::SizeAtLeast(least) => item.size.is_some_and(|size| size >= *least),
            W::NoSize => item.size.is_none(),
            W::Country(country) => item.country.as_ref() == Some(country),
            W::NoCountry => item.country.is_none(),
            W::SomeCountry => item.country.is_some(),
            W::Price(price) => item.price == Some(*price),
            W::PriceBelow(bound) => item.price.is_some_and(|price| price < *bound),
            W::PriceAbove(bound) => item.price.is_some_and(|price| price > *bound),
            W::PriceBetween(low, high) => item.price.is_some_and(|price| (*low..=*high).contains(&price)),
            W::Weight(weight) => item.weight == *weight,
            W::WeightAtMost(weight) => item.weight <= *weight,
            W::WeightAtLeast(weight) => item.weight >= *weight,
            W::Titles(titles) => titles.contains(&item.title),
            W::TitleAbove(title) => item.title > *title,
            W::TitleAtMost(title) => item.title <= *title,
            W::TitleBegins(title) => item.title.starts_with(title.as_str()),
            W::And(left, right) => left.matches(item) && right.matches(item),
            W::Or(left, right) => left.matches(item) || right.matches(item),
            W::Not(inner) => !inner.matches(item),
        }
    }
}

pub(crate) fn wanted() -> impl Strategy<Value = Wanted> {
    let age = || 0u8..42;
    let size = || prop::sample::select(vec![Size::Small, Size::Medium, Size::Large]);
    let price = || {
        prop_oneof![-32i64..32, Just(i64::MAX), Just(i64::MIN), Just(i64::MAX - 1), Just(1 << 53), Just((1 << 53) + 1)]
    };
    let weight = || prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -60.0..90.0];
    let title = || {
        prop::sample::select(vec!["", "a", "a\0", "a\0b", "B", "é", "\u{FFFF}", "😀", "zz", "b"])
            .prop_map(str::to_owned)
    };
    let country = prop::sample::select(vec!["", "USA", "DE", "a:b", "a", "nowhere"]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        age().prop_map(W::Age),
        prop::collection::vec(age(), 0..6).prop_map(W::Ages),
        (age(), age()).prop_map(|(low, high)| W::AgeBetween(low, high)),
        age().prop_map(W::AgeBelow),
        size().prop_map(W::Size),
        size().prop_map(W::SizeAtLeast),
        Just(W::NoSize),
        country.prop_map(W::Country),
        Just(W::NoCountry),
        Just(W::SomeCountry),
        price().prop_map(W::Price),
        price().prop_map(W::PriceBelow),
        price().prop_map(W::PriceAbove),
        (price(), price()).prop_map(|(low, high)| W::PriceBetween(low, high)),
        weight().prop_map(W::Weight),
        weight().prop_map(W::WeightAtMost),
        weight().prop_map(W::WeightAtLeast),
        prop::collection::vec(title(), 0..4).prop_map(W::Titles),
        title().prop_map(W::TitleAbove),
        title().prop_map(W::TitleAtMost),
        title().prop_map(W::TitleBegins),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(left, right)| W::And(left.into(), right.into())),
            2 => (inner.clone(), inner.clone()).prop_map(|(left, right)| W::Or(left.into(), right.into())),
            1 => inner.prop_map(|inner| W::Not(inner.into())),
        ]
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum By {
    Age,
    Size,
    Price,
    Weight,
    Title,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    by: By,
    descending: bool,
    nulls_first: bool,
}

impl Key {
    pub(crate) fn order(self) -> Order<Item> {
        let u = Item::columns();
        let order = match (self.by, self.descending) {
            (By::Age, false) => u.age.asc(),
            (By::Age, true) => u.age.desc(),
            (By::Size, false) => u.size.asc(),
            (By::Size, true) => u.size.desc(),
            (By::Price, false) => u.price.asc(),
            (By::Price, true) => u.price.desc(),
            (By::Weight, false) => u.weight.asc(),
            (By::Weight, true) => u.weight.desc(),
            (By::Title, false) => u.title.asc(),
            (By::Title, true) => u.title.desc(),
        };
        if self.nulls_first { order.nulls_first() } else { order }
    }

    fn compare(self, left: &Item, right: &Item) -> Ordering {
        fn nulls_last<T: PartialOrd>(left: Option<T>, right: Option<T>, key: Key) -> Ordering {
            match (left, right) {
                (Some(left), Some(right)) if key.descending => right.partial_cmp(&left).unwrap(),
                (Some(left), Some(right)) => left.partial_cmp(&right).unwrap(),
                (left, right) if key.nulls_first => left.is_some().cmp(&right.is_some()),
                (left, right) => right.is_some().cmp(&left.is_some()),
            }
        }
        match self.by {
            By::Age => nulls_last(Some(left.age), Some(right.age), self),
            By::Size => nulls_last(left.size, right.size, self),
            By::Price => nulls_last(left.price, right.price, self),
            By::Title => nulls_last(Some(&left.title), Some(&right.title), self),
            By::Weight => nulls_last(Some(left.weight), Some(right.weight), self),
        }
    }
}

pub(crate) fn keys() -> impl Strategy<Value = Vec<Key>> {
    let by = prop::sample::select(vec![By::Age, By::Size, By::Price, By::Weight, By::Title]);
    let key = (by, any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(by, descending, nulls_first)| Key {
        by,
        descending,
        nulls_first,
    });
    prop_oneof![
        4 => Just(Vec::new()),
        10 => key.clone().prop_map(|key| vec![key]),
        3 => prop::collection::vec(key, 2..4),
    ]
}

/// By the first key, where that is equal by the next, and in the end in row order, turned round
/// with the last key.
pub(crate) fn sorted(mut items: Vec<Item>, keys: &[Key]) -> Vec<Item> {
    if keys.last().is_some_and(|key| key.descending) {
        items.reverse();
    }
    items.sort_by(|left, right| {
        let mut orders = keys.iter().map(|key| key.compare(left, right));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    items
}

/// How many have each value: the most frequent first, then the least, null last.
pub(crate) fn groups<T: Ord + Clone>(items: &[Item], value: impl Fn(&Item) -> Option<T>) -> Vec<(Option<T>, u64)> {
    let mut counts = BTreeMap::<(bool, Option<T>), u64>::new();
    for value in items.iter().map(value) {
        *counts.entry((value.is_none(), value)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|((_, value), count)| (value, count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

type Pair = (Option<Size>, Option<String>);

/// How many have each size and country together, in the order of `count_by`.
pub(crate) fn pairs_of(items: &[Item]) -> Vec<(Pair, u64)> {
    let mut counts = BTreeMap::<_, u64>::new();
    for item in items {
        let (size, country) = (item.size, item.country.clone());
        *counts.entry((size.is_none(), size, country.is_none(), country)).or_default() += 1;
    }
    let mut counts: Vec<_> =
        counts.into_iter().map(|((_, size, _, country), count)| ((size, country), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

pub(crate) fn ids(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

/// Where the cases begin: others by `QUERY_SEED`.
pub(crate) fn seed() -> u64 {
    std::env::var("QUERY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        // Others each time; a failure says which.
        std::time::UNIX_EPOCH.elapsed().map_or(7, |time| time.as_secs())
    })
}

/// Cases for each property: more by `QUERY_CASES`.
pub(crate) fn cases() -> u32 {
    std::env::var("QUERY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}
