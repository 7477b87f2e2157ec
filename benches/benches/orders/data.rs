//! The orders of a shop. The same ones always: an order is a function of its number, of how many
//! there are, and of whether they came in the order of time.
//!
//! | column | distribution |
//! | --- | --- |
//! | `customer` | 20 orders each on average. One customer has 5,000 (a tenth of the records, if that is less). Up to 100 typical ones have about 20. The others follow Zipf's law with a flat top: with a million records from some 9,500 down to 2 or 3, with 3,500 who have 1. |
//! | `sku` | 50 orders each on average. Up to 100 typical ones have about 50. The others follow the same law: with a million records from 1,900 down to some 9. |
//! | `status` | done 80 %, shipped 8 %, paid 6 %, new 4 %, returned 2 %, independent of all else |
//! | `total` | 1.00 to 10,000.00; its logarithm is uniform |
//! | `created_at` | one order in 30 seconds; one in twenty was made up to an hour before its turn. Or, if scattered, anywhere within 49 days. Distinct in both cases. |
//! | `visits` | 0 |

use benches::{mix, scatter};
use clap::ValueEnum;
use subconscious::{ColumnEnum, RedisModel};

// In the order of an order's life, which is also the order that `order_by` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ColumnEnum)]
#[column(rename_all = "lowercase")]
pub(crate) enum Status {
    New,
    Paid,
    Shipped,
    Done,
    Returned,
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [Self::New, Self::Paid, Self::Shipped, Self::Done, Self::Returned];
    pub(crate) const OPEN: [Self; 3] = [Self::New, Self::Paid, Self::Shipped];
    /// What a status change goes through again and again.
    const LIFE: [Self; 4] = [Self::New, Self::Paid, Self::Shipped, Self::Done];

    pub(crate) fn text(self) -> &'static str {
        ["new", "paid", "shipped", "done", "returned"][self as usize]
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.text() == text)
    }

    pub(crate) fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

#[derive(Debug, Clone, PartialEq, RedisModel)]
pub(crate) struct Order {
    #[column(primary_key)]
    pub(crate) id: u64,
    #[column(index)]
    pub(crate) customer: u32,
    #[column(index)]
    pub(crate) sku: u32,
    // `sort` costs nothing here: the containers of a few values are their order.
    #[column(index, sort)]
    pub(crate) status: Status,
    /// Cents.
    #[column(sort)]
    pub(crate) total: u64,
    /// Milliseconds.
    #[column(sort)]
    pub(crate) created_at: i64,
    pub(crate) visits: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Time {
    /// Grows with the id, for most.
    Growing,
    /// Independent of the id.
    Scattered,
}

/// The orders of a shop of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    pub(crate) records: u64,
    pub(crate) time: Time,
}

pub(crate) const BIG_CUSTOMER: u32 = 1;
/// The first of the typical customers, and of the typical skus.
const TYPICAL: u32 = 100;
/// The first of the others.
const OTHERS: u32 = 1_000;
pub(crate) const ORDERS_A_CUSTOMER: u64 = 20;
pub(crate) const ORDERS_A_SKU: u64 = 50;
/// The flat top of Zipf's law: the larger, the less the first differ.
const FLAT_CUSTOMERS: f64 = 12.0;
const FLAT_SKUS: f64 = 100.0;
const FIRST_MOMENT: i64 = 1_700_000_000_000;
const PACE: u64 = 30_000;
const PACES_AN_HOUR: u64 = 120;

impl Shop {
    fn typical(self) -> u64 {
        (self.records / 200).clamp(5, 100)
    }

    pub(crate) fn typical_customers(self) -> impl Iterator<Item = u32> {
        TYPICAL..TYPICAL + self.typical() as u32
    }

    pub(crate) fn typical_skus(self) -> impl Iterator<Item = u32> {
        self.typical_customers()
    }

    /// So many customers, spread over all ranks, whether or not the shop has so many.
    pub(crate) fn some_customers(self, count: u32, turn: u32) -> Vec<u32> {
        let stride = (self.customers() as u32 / count).max(1);
        (0..count).map(|at| OTHERS + at * stride + turn % stride).collect()
    }

    fn customers(self) -> u64 {
        self.records / ORDERS_A_CUSTOMER
    }

    fn customer(self, share: f64) -> u32 {
        let big = 5_000.min(self.records / 10) as f64 / self.records as f64;
        let typical = (self.typical() * ORDERS_A_CUSTOMER) as f64 / self.records as f64;
        match share {
            share if share < big => BIG_CUSTOMER,
            share if share < big + typical => TYPICAL + ((share - big) / typical * self.typical() as f64) as u32,
            share => OTHERS + zipf((share - big - typical) / (1.0 - big - typical), self.customers(), FLAT_CUSTOMERS),
        }
    }

    fn sku(self, share: f64) -> u32 {
        let typical = (self.typical() * ORDERS_A_SKU) as f64 / self.records as f64;
        if share < typical {
            return TYPICAL + (share / typical * self.typical() as f64) as u32;
        }
        OTHERS + zipf((share - typical) / (1.0 - typical), self.records / ORDERS_A_SKU, FLAT_SKUS)
    }

    fn created_at(self, at: u64) -> i64 {
        if self.time == Time::Scattered {
            return FIRST_MOMENT + i64::from(scatter(at as u32));
        }
        let early = if draw(at, 5) < 0.05 { 1 + (draw(at, 6) * PACES_AN_HOUR as f64) as u64 } else { 0 };
        // Orders that may meet at one pace differ in what is left of their numbers.
        FIRST_MOMENT + ((at + PACES_AN_HOUR - early) * PACE + at % PACE) as i64
    }

    pub(crate) fn order(self, at: u64) -> Order {
        let status = match draw(at, 3) {
            share if share < 0.04 => Status::New,
            share if share < 0.10 => Status::Paid,
            share if share < 0.18 => Status::Shipped,
            share if share < 0.98 => Status::Done,
            _ => Status::Returned,
        };
        Order {
            id: at + 1,
            customer: self.customer(draw(at, 1)),
            sku: self.sku(draw(at, 2)),
            status,
            total: (100.0 * 10_000_f64.powf(draw(at, 4))) as u64,
            created_at: self.created_at(at),
            visits: 0,
        }
    }

    pub(crate) fn orders(self, range: std::ops::Range<u64>) -> Vec<Order> {
        range.map(|at| self.order(at)).collect()
    }

    /// The order whose turn it is in a workload that goes through all of them.
    pub(crate) fn turn(self, turn: u64) -> u64 {
        turn * 7_919 % self.records
    }
}

/// The status changes of a shop: those that are open at first go through their lives, in no order
/// of age, and begin again.
#[derive(Debug)]
pub(crate) struct StatusChanges {
    open: Vec<(u64, Status)>,
}

impl StatusChanges {
    pub(crate) fn of(orders: &[Order]) -> Self {
        let open = orders.iter().filter(|order| order.status.is_open());
        Self { open: open.map(|order| (order.id, order.status)).collect() }
    }

    /// The id and the new status.
    pub(crate) fn change(&self, turn: u64) -> (u64, Status) {
        let count = self.open.len() as u64;
        let (id, first) = self.open[(turn * 7_919 % count) as usize];
        (id, Status::LIFE[(first as usize + (turn / count) as usize + 1) % Status::LIFE.len()])
    }
}

/// The rank of a share under Zipf's law with a flat top, whose inverse sum this is: the item of a
/// rank has a part in proportion to `1 / (rank + flat)`.
fn zipf(share: f64, items: u64, flat: f64) -> u32 {
    (flat * (((items as f64 + flat) / flat).powf(share) - 1.0)) as u32
}

/// A number from 0 to below 1, independent for each column.
fn draw(at: u64, column: u64) -> f64 {
    (mix(mix(at) ^ column) >> 11) as f64 / (1_u64 << 53) as f64
}
