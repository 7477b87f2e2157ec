//! A side of the comparison with its server, and what it has done to its orders so far.

use std::time::Instant;

use benches::{Asked, MeasuredServer, Outcome, PATIENCE, ROUND, Sample, flight};
use subconscious::Db;

use crate::data::{Order, Shop, Status, StatusChanges};
use crate::questions::{Answer, Question, Task, Workload};
use crate::{hand, ours, search};

/// Who does the work.
enum Side {
    Ours(ours::Ours),
    Hand(hand::Hand),
    Search(search::Search),
}

impl Side {
    async fn load(&self, id: u64) -> Outcome<Order> {
        match self {
            Self::Ours(side) => side.load(id).await,
            Self::Hand(hand::Hand { connection, .. }) | Self::Search(search::Search { connection }) => {
                hand::load(connection, id).await
            }
        }
    }

    async fn save(&self, order: Order) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save(order).await,
            Self::Hand(side) => side.save(&order).await,
            Self::Search(side) => side.save_many(&[order]).await,
        }
    }

    async fn save_many(&self, orders: Vec<Order>) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.save_many(orders).await,
            Self::Hand(side) => side.save_many(&orders).await,
            Self::Search(side) => side.save_many(&orders).await,
        }
    }

    async fn change_status(&self, id: u64, status: Status) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.change_status(id, status).await,
            Self::Hand(side) => side.change_status(id, status).await,
            Self::Search(side) => side.change_status(id, status).await,
        }
    }

    async fn visit(&self, id: u64) -> Outcome<()> {
        match self {
            Self::Ours(side) => side.visit(id).await,
            Self::Hand(hand::Hand { connection, .. }) | Self::Search(search::Search { connection }) => {
                hand::visit(connection, id).await
            }
        }
    }
}

/// A side with its server.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    side: Side,
    pub(crate) measured: MeasuredServer,
    /// Orders saved so far, status changes, and visits.
    saved: u64,
    changed: u64,
    visited: u64,
}

impl Asked for Contender {
    type Question = Question;
    type Answer = Answer;

    fn name(&self) -> &'static str {
        self.name
    }

    fn forms(&self, question: &Question) -> Vec<&'static str> {
        match &self.side {
            Side::Ours(_) => ours::Ours::forms(question),
            Side::Hand(_) => hand::Hand::forms(question),
            Side::Search(_) => search::Search::forms(question),
        }
    }

    async fn answer(&self, question: &Question, form: &str) -> Outcome<Answer> {
        match &self.side {
            Side::Ours(side) => side.answer(question).await,
            Side::Hand(side) => side.answer(question, form).await,
            Side::Search(side) => side.answer(question, form).await,
        }
    }

    fn is_right(question: &Question, found: &Answer, right: &Answer) -> bool {
        found.is(right, question)
    }

    fn size(answer: &Answer) -> u64 {
        answer.size()
    }
}

impl Contender {
    /// `None` if there is no server for it.
    pub(crate) async fn start(name: &'static str) -> Option<Self> {
        let measured = MeasuredServer::start(name == "redisearch").await?;
        let own = measured.connection.clone();
        let side = match name {
            "ours" => Side::Ours(ours::Ours {
                db: Db::builder().response_timeout(PATIENCE).open(&measured.server.url).await.unwrap(),
            }),
            "hand" => Side::Hand(hand::Hand::new(own)),
            _ => Side::Search(search::Search::new(own).await.unwrap()),
        };
        Some(Self { name, side, measured, saved: 0, changed: 0, visited: 0 })
    }

    /// Saves the orders up to that one in batches.
    pub(crate) async fn fill(&mut self, shop: Shop, to: u64) -> Sample {
        let from = self.saved;
        let save = async || {
            for first in (from..to).step_by(1_000) {
                self.side.save_many(shop.orders(first..to.min(first + 1_000))).await.unwrap();
            }
            (to - from, to - from)
        };
        let sample = self.measured.sample(save).await;
        self.saved = to;
        sample
    }

    /// How it does what is not a question.
    pub(crate) fn writing(&self, task: &Task) -> &'static str {
        let forms = match task {
            Task::Query(_) => ["", "", ""],
            Task::Load => ["load", "HMGET", "HMGET"],
            Task::Status => ["patch", "script", "HSET"],
            Task::Visit(_) => ["patch", "HINCRBY", "HINCRBY"],
            Task::Save(_) => ["save", "script", "HSET"],
        };
        match self.side {
            Side::Ours(_) => forms[0],
            Side::Hand(_) => forms[1],
            Side::Search(_) => forms[2],
        }
    }

    pub(crate) async fn round(&mut self, task: &Task, form: &str, shop: Shop, changes: &StatusChanges) -> Sample {
        let side = &self.side;
        match task {
            Task::Query(cases) => self.measured.sample(|| self.ask(cases, form, ROUND)).await,
            Task::Load => {
                let load = async |turn| {
                    let right = shop.order(shop.turn(turn));
                    assert_eq!(side.load(right.id).await.unwrap(), right, "{}", self.name);
                };
                self.repeat(1, load).await.0
            }
            Task::Status => {
                let from = self.changed;
                let change = async |turn| {
                    let (id, status) = changes.change(from + turn);
                    side.change_status(id, status).await.unwrap();
                };
                let (sample, count) = self.repeat(1, change).await;
                self.changed += count;
                sample
            }
            Task::Visit(width) => {
                let from = self.visited;
                let visit = async |turn| side.visit(shop.turn(from + turn) + 1).await.unwrap();
                let (sample, count) = self.repeat(*width, visit).await;
                self.visited += count;
                sample
            }
            Task::Save(width) => {
                let from = self.saved;
                let save = async |turn| side.save(shop.order(from + turn)).await.unwrap();
                let (sample, count) = self.repeat(*width, save).await;
                self.saved += count;
                sample
            }
        }
    }

    /// Runs the job, so many in flight, with one number after the other until the round is over,
    /// and says how often it ran.
    async fn repeat<F: Future<Output = ()>>(&self, width: usize, job: impl Fn(u64) -> F) -> (Sample, u64) {
        let operations = &mut 0;
        let rounds = async || {
            let begin = Instant::now();
            while begin.elapsed() < ROUND {
                let some = *operations..*operations + 20 * width as u64;
                *operations = some.end;
                flight(some, width, &job).await;
            }
            (*operations, *operations)
        };
        let sample = self.measured.sample(rounds).await;
        (sample, *operations)
    }

    /// Asks everything again after all writes, so that a write that leaves a wrong index behind is
    /// not measured as a fast one.
    pub(crate) async fn check_writes(&self, shop: Shop, changes: &StatusChanges, workloads: &[Workload]) {
        let mut orders = shop.orders(0..self.saved);
        // Ids begin with 1.
        for turn in 0..self.changed {
            let (id, status) = changes.change(turn);
            orders[id as usize - 1].status = status;
        }
        for turn in 0..self.visited {
            orders[shop.turn(turn) as usize].visits += 1;
        }
        for turn in 0..1_000 {
            let right = &orders[shop.turn(turn) as usize];
            assert_eq!(&self.side.load(right.id).await.unwrap(), right, "{}, after writes", self.name);
        }
        for workload in workloads {
            let Task::Query(cases) = &workload.task else { continue };
            let cases: Vec<(Question, Answer)> =
                cases.iter().map(|(question, _)| (question.clone(), question.answer(&orders).1)).collect();
            let (mut right, mut mistakes) = (false, Vec::new());
            for form in self.forms(&cases[0].0) {
                match self.mistake(&cases, form).await {
                    None => {
                        right = true;
                        break;
                    }
                    Some(mistake) => mistakes.push(format!("{form}: {mistake}")),
                }
            }
            if !right {
                eprintln!("{}: {} after writes: {mistakes:?}", self.name, workload.name);
            }
            assert!(right || self.name == "redisearch", "{}: a write left a wrong index", self.name);
        }
    }
}
