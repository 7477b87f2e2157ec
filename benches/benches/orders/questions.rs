//! The questions, and the right answers, found by looking at every order.

use crate::data::{BIG_CUSTOMER, ORDERS_A_CUSTOMER, ORDERS_A_SKU, Order, Shop, Status};

#[derive(Debug, Clone)]
pub(crate) enum Question {
    NewestOfCustomer { customer: u32, limit: usize },
    AllOfCustomer { customer: u32 },
    OpenOfCustomer { customer: u32 },
    LargestOfSku { sku: u32, limit: usize },
    StatusesOfSku { sku: u32 },
    SkusAndStatus { skus: [u32; 3], status: Status },
    NewestOfStatus { status: Status, limit: usize },
    StatusSince { status: Status, since: i64 },
    StatusAndTotals { status: Status, low: u64, high: u64 },
    NewestOfTotals { low: u64, high: u64, limit: usize },
    ByStatusAndTime { statuses: [Status; 2], limit: usize },
    OfCustomers { customers: Vec<u32> },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Count(u64),
    Groups(Vec<(Status, u64)>),
    Rows(Vec<Order>),
}

impl Answer {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Count(count) => *count,
            Self::Groups(groups) => groups.len() as u64,
            Self::Rows(rows) => rows.len() as u64,
        }
    }

    /// Rows and groups that nobody ordered are the same in any order. Those that have an order have
    /// no ties: creation times are distinct, and skus with equal totals are not asked about.
    pub(crate) fn is(&self, other: &Self, question: &Question) -> bool {
        let sorted = |answer: &Self| {
            let mut answer = answer.clone();
            match &mut answer {
                Self::Groups(groups) => groups.sort_unstable(),
                Self::Rows(rows) if matches!(question, Question::AllOfCustomer { .. }) => {
                    rows.sort_by_key(|order| order.id)
                }
                _ => {}
            }
            answer
        };
        sorted(self) == sorted(other)
    }
}

impl Question {
    fn matches(&self, order: &Order) -> bool {
        match self {
            Self::NewestOfCustomer { customer, .. } | Self::AllOfCustomer { customer } => order.customer == *customer,
            Self::OpenOfCustomer { customer } => order.customer == *customer && order.status.is_open(),
            Self::LargestOfSku { sku, .. } | Self::StatusesOfSku { sku } => order.sku == *sku,
            Self::SkusAndStatus { skus, status } => skus.contains(&order.sku) && order.status == *status,
            Self::NewestOfStatus { status, .. } => order.status == *status,
            Self::StatusSince { status, since } => order.status == *status && order.created_at >= *since,
            Self::StatusAndTotals { status, low, high } => {
                order.status == *status && (*low..=*high).contains(&order.total)
            }
            Self::NewestOfTotals { low, high, .. } => (*low..=*high).contains(&order.total),
            Self::ByStatusAndTime { statuses, .. } => statuses.contains(&order.status),
            // Made in ascending order.
            Self::OfCustomers { customers } => customers.binary_search(&order.customer).is_ok(),
        }
    }

    /// How many orders match, and the answer.
    pub(crate) fn answer(&self, orders: &[Order]) -> (u64, Answer) {
        let mut rows: Vec<&Order> = orders.iter().filter(|order| self.matches(order)).collect();
        let matches = rows.len() as u64;
        let limit = match self {
            Self::NewestOfCustomer { limit, .. }
            | Self::NewestOfStatus { limit, .. }
            | Self::NewestOfTotals { limit, .. } => {
                rows.sort_by_key(|order| -order.created_at);
                *limit
            }
            Self::LargestOfSku { limit, .. } => {
                rows.sort_by_key(|order| std::cmp::Reverse(order.total));
                *limit
            }
            Self::ByStatusAndTime { limit, .. } => {
                rows.sort_by_key(|order| (order.status, -order.created_at));
                *limit
            }
            Self::AllOfCustomer { .. } => rows.len(),
            Self::StatusesOfSku { .. } => {
                let count = |status| rows.iter().filter(|order| order.status == status).count() as u64;
                let groups = Status::ALL.map(|status| (status, count(status)));
                return (matches, Answer::Groups(groups.into_iter().filter(|(_, count)| *count > 0).collect()));
            }
            _ => return (matches, Answer::Count(matches)),
        };
        (matches, Answer::Rows(rows.into_iter().take(limit).cloned().collect()))
    }
}

/// What is measured under one name.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// How many orders a question's filter matches, if there is one: the median.
    pub(crate) matches: Option<u64>,
    pub(crate) task: Task,
}

pub(crate) enum Task {
    /// Questions of one kind, asked in turn, and their answers.
    Query(Vec<(Question, Answer)>),
    Load,
    /// A patch of `status`.
    Status,
    /// A patch that increments `visits`, so many in flight.
    Visit(usize),
    /// Saves of new orders, so many in flight.
    Save(usize),
}

/// Questions of one kind are asked for so many values.
const VALUES: usize = 5;

/// The kinds of questions.
pub(crate) fn kinds(shop: Shop, orders: &[Order]) -> Vec<(&'static str, Vec<Question>)> {
    let customers = most_typical(shop.typical_customers(), ORDERS_A_CUSTOMER, |customer| {
        orders.iter().filter(|order| order.customer == customer).count()
    });
    let skus = shop.typical_skus().filter(|sku| is_without_ties(*sku, orders));
    let skus = most_typical(skus, ORDERS_A_SKU, |sku| orders.iter().filter(|order| order.sku == sku).count());
    let mut totals: Vec<u64> = orders.iter().map(|order| order.total).collect();
    totals.sort_unstable();
    let mut times: Vec<i64> = orders.iter().map(|order| order.created_at).collect();
    times.sort_unstable();
    let last = (orders.len() - 1) as f64;
    let total = |part: f64| totals[(part * last) as usize];
    let customer = |turn: usize| customers[turn % customers.len()];
    let sku = |turn: usize| skus[turn % skus.len()];
    let open = |turn: usize| Status::OPEN[turn % 3];
    let step = |turn: usize| turn as f64 * 0.05;
    let pairs = [
        [Status::New, Status::Paid],
        [Status::Shipped, Status::Returned],
        [Status::Paid, Status::Returned],
        [Status::New, Status::Shipped],
        [Status::Paid, Status::Shipped],
    ];
    let kinds: [(&'static str, &dyn Fn(usize) -> Question); 13] = [
        ("newest 10 of a customer", &|turn| Question::NewestOfCustomer { customer: customer(turn), limit: 10 }),
        ("all of a customer", &|turn| Question::AllOfCustomer { customer: customer(turn) }),
        ("newest 10 of the big customer", &|_| Question::NewestOfCustomer { customer: BIG_CUSTOMER, limit: 10 }),
        ("count of a customer's open", &|turn| Question::OpenOfCustomer { customer: customer(turn) }),
        ("largest 10 of a sku", &|turn| Question::LargestOfSku { sku: sku(turn), limit: 10 }),
        ("group by status of a sku", &|turn| Question::StatusesOfSku { sku: sku(turn) }),
        ("count of three skus and a status", &|turn| Question::SkusAndStatus {
            skus: [sku(turn), sku(turn + 1), sku(turn + 2)],
            status: if turn % 2 == 0 { Status::Done } else { Status::Shipped },
        }),
        ("newest 20 of an open status", &|turn| Question::NewestOfStatus { status: open(turn), limit: 20 }),
        ("count of done in the last 30 %", &|turn| Question::StatusSince {
            status: Status::Done,
            since: times[((0.68 + 0.01 * turn as f64) * last) as usize],
        }),
        ("count of a status, total in 40 %", &|turn| Question::StatusAndTotals {
            status: open(turn),
            low: total(0.2 + step(turn)),
            high: total(0.6 + step(turn)),
        }),
        ("newest 20, total in 2 %", &|turn| Question::NewestOfTotals {
            low: total(0.4 + step(turn)),
            high: total(0.42 + step(turn)),
            limit: 20,
        }),
        ("first 50 by status and newest", &|turn| Question::ByStatusAndTime { statuses: pairs[turn], limit: 50 }),
        ("count of 10,000 customers", &|turn| Question::OfCustomers {
            customers: shop.some_customers(10_000, turn as u32),
        }),
    ];
    kinds.into_iter().map(|(name, question)| (name, (0..VALUES).map(question).collect())).collect()
}

/// Those whose numbers of orders are nearest to the mean, so that a question matches as many orders
/// at each size.
fn most_typical(values: impl Iterator<Item = u32>, mean: u64, count: impl Fn(u32) -> usize) -> Vec<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_by_cached_key(|value| mean.abs_diff(count(*value) as u64));
    values.truncate(VALUES);
    values
}

/// Whether the ten largest totals of a sku are the same ones for everybody.
fn is_without_ties(sku: u32, orders: &[Order]) -> bool {
    let mut totals: Vec<u64> = orders.iter().filter(|order| order.sku == sku).map(|order| order.total).collect();
    totals.sort_unstable_by(|one, other| other.cmp(one));
    totals.windows(2).take(10).all(|pair| pair[0] != pair[1])
}

/// All workloads. Those that write come last, as they change the answers.
pub(crate) fn workloads(shop: Shop, orders: &[Order]) -> Vec<Workload> {
    let query = |(name, questions): (_, Vec<Question>)| {
        let cases = questions.into_iter().map(|question| {
            let (matches, answer) = question.answer(orders);
            (matches as f64, (question, answer))
        });
        let (matches, cases): (Vec<f64>, _) = cases.unzip();
        Workload { name, matches: Some(benches::median(matches.into_iter()) as u64), task: Task::Query(cases) }
    };
    let other = |(name, task)| Workload { name, matches: None, task };
    let others = [
        ("load by id", Task::Load),
        ("status change", Task::Status),
        ("counter, 1 in flight", Task::Visit(1)),
        ("counter, 50 in flight", Task::Visit(50)),
        ("save, 1 in flight", Task::Save(1)),
        ("save, 50 in flight", Task::Save(50)),
    ];
    kinds(shop, orders).into_iter().map(query).chain(others.map(other)).collect()
}
