//! By hand, as somebody who knows Redis well would write it for these questions and no others.
//!
//! | key | holds |
//! | --- | --- |
//! | `order:<id>` | a hash of the columns |
//! | `orders:customer:<customer>` | a sorted set of ids by time |
//! | `orders:open:<customer>` | a set of the ids that are new, paid or shipped |
//! | `orders:sku:<sku>` | a sorted set of ids by total |
//! | `orders:statuses:<sku>` | a hash: how many have each status |
//! | `orders:status:<status>` | a sorted set of ids by time |
//! | `orders:by:total`, `orders:by:time` | sorted sets of all ids |
//!
//! A save or a status change is one script, which removes the index entries of old values in the
//! same step. `visits` is in no index and orders are never deleted, so a plain `HINCRBY` counts.

use benches::Outcome;
use redis::aio::ConnectionManager;
use redis::{Cmd, FromRedisValue, Script, ScriptInvocation, cmd, pipe};

use crate::data::{Order, Status};
use crate::questions::{Answer, Question};

const BY_TOTAL: &str = "orders:by:total";
const BY_TIME: &str = "orders:by:time";
/// A key of an intermediate result.
const SOME: &str = "orders:tmp";

const FIELDS: [&str; 6] = ["customer", "sku", "status", "total", "created_at", "visits"];
/// The fields as they come.
type Fields = (u32, u32, String, u64, i64, u32);
/// The same after the id.
type Identified = (u64, u32, u32, String, u64, i64, u32);

const PLAIN: &str = "one command a key";
const IDS: &str = "ZRANGE, HMGET";
const SORT: &str = "SORT GET";
const ROWS: &str = "rows in a script";
const WALK: &str = "walk in a script, HMGET";
const INTERSECT: &str = "ZRANGESTORE, ZINTERSTORE, HMGET";
const COUNT: &str = "ZMSCORE in a script";
const INTERCARD: &str = "ZRANGESTORE, ZINTERCARD";
const SIZES: &str = "ZCARD of each in a script";

pub(crate) fn key(id: impl std::fmt::Display) -> String {
    format!("order:{id}")
}

fn customer_key(customer: u32) -> String {
    format!("orders:customer:{customer}")
}

fn status_key(status: Status) -> String {
    format!("orders:status:{}", status.text())
}

pub(crate) fn fields(order: &Order) -> [(&'static str, String); 6] {
    [
        ("customer", order.customer.to_string()),
        ("sku", order.sku.to_string()),
        ("status", order.status.text().into()),
        ("total", order.total.to_string()),
        ("created_at", order.created_at.to_string()),
        ("visits", order.visits.to_string()),
    ]
}

fn parse(id: u64, (customer, sku, status, total, created_at, visits): Fields) -> Outcome<Order> {
    let status = Status::of(&status).ok_or("no such status")?;
    Ok(Order { id, customer, sku, status, total, created_at, visits })
}

fn parse_all(rows: Vec<Identified>) -> Outcome<Vec<Order>> {
    let parse = |(id, customer, sku, status, total, created_at, visits)| {
        parse(id, (customer, sku, status, total, created_at, visits))
    };
    rows.into_iter().map(parse).collect()
}

fn read(id: u64) -> Cmd {
    let mut command = cmd("HMGET");
    command.arg(key(id)).arg(&FIELDS);
    command
}

pub(crate) async fn load(connection: &ConnectionManager, id: u64) -> Outcome<Order> {
    parse(id, read(id).query_async(&mut connection.clone()).await?)
}

/// Loads orders by one pipeline.
pub(crate) async fn load_all(connection: &ConnectionManager, ids: &[u64]) -> Outcome<Vec<Order>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let mut pipeline = pipe();
    for id in ids {
        pipeline.add_command(read(*id));
    }
    let rows: Vec<Fields> = pipeline.query_async(&mut connection.clone()).await?;
    ids.iter().zip(rows).map(|(id, row)| parse(*id, row)).collect()
}

pub(crate) async fn visit(connection: &ConnectionManager, id: u64) -> Outcome<()> {
    let mut command = cmd("HINCRBY");
    let _: u32 = command.arg(key(id)).arg("visits").arg(1).query_async(&mut connection.clone()).await?;
    Ok(())
}

pub(crate) struct Hand {
    pub(crate) connection: ConnectionManager,
    save: Script,
    status: Script,
    rows: Script,
    walk: Script,
    count: Script,
    sizes: Script,
}

impl Hand {
    pub(crate) fn new(connection: ConnectionManager) -> Self {
        let [save, status, rows, walk, count, sizes] = [
            include_str!("save.lua"),
            include_str!("status.lua"),
            include_str!("rows.lua"),
            include_str!("walk.lua"),
            include_str!("count.lua"),
            include_str!("sizes.lua"),
        ]
        .map(Script::new);
        Self { connection, save, status, rows, walk, count, sizes }
    }

    pub(crate) fn forms(question: &Question) -> Vec<&'static str> {
        match question {
            Question::NewestOfCustomer { .. }
            | Question::AllOfCustomer { .. }
            | Question::LargestOfSku { .. }
            | Question::NewestOfStatus { .. }
            | Question::ByStatusAndTime { .. } => vec![IDS, SORT, ROWS],
            Question::NewestOfTotals { .. } => vec![WALK, INTERSECT],
            Question::StatusAndTotals { .. } => vec![COUNT, INTERCARD],
            Question::OfCustomers { .. } => vec![PLAIN, SIZES],
            _ => vec![PLAIN],
        }
    }

    pub(crate) async fn answer(&self, question: &Question, form: &str) -> Outcome<Answer> {
        // The sorted sets that the rows are in, one after the other.
        let (keys, limit) = match *question {
            Question::NewestOfCustomer { customer, limit } => (vec![customer_key(customer)], limit),
            Question::AllOfCustomer { customer } => (vec![customer_key(customer)], i32::MAX as usize),
            Question::LargestOfSku { sku, limit } => (vec![format!("orders:sku:{sku}")], limit),
            Question::NewestOfStatus { status, limit } => (vec![status_key(status)], limit),
            Question::ByStatusAndTime { statuses, limit } => (statuses.map(status_key).into(), limit),
            Question::NewestOfTotals { low, high, limit } => {
                let ids = if form == WALK {
                    let mut call = self.walk.prepare_invoke();
                    self.call(call.key(BY_TIME).key(BY_TOTAL).arg(low).arg(high).arg(limit)).await?
                } else {
                    self.intersected(low, high, limit).await?
                };
                return Ok(Answer::Rows(load_all(&self.connection, &ids).await?));
            }
            _ => return self.count(question, form).await,
        };
        Ok(Answer::Rows(match form {
            IDS => self.last(&keys, limit).await?,
            SORT => self.sorted(&keys, limit).await?,
            _ => parse_all(self.call(self.rows.prepare_invoke().key(keys).arg(limit)).await?)?,
        }))
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Outcome<T> {
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    async fn call<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Outcome<T> {
        Ok(invocation.invoke_async(&mut self.connection.clone()).await?)
    }

    /// One round trip for the ids and one for the rows, unless the first set has too few.
    async fn last(&self, keys: &[String], limit: usize) -> Outcome<Vec<Order>> {
        let mut ids: Vec<u64> = Vec::new();
        for key in keys {
            if ids.len() < limit {
                let last = limit - ids.len() - 1;
                ids.extend(self.send::<Vec<u64>>(cmd("ZRANGE").arg(key).arg(0).arg(last).arg("REV")).await?);
            }
        }
        load_all(&self.connection, &ids).await
    }

    /// The same by one command for each set.
    async fn sorted(&self, keys: &[String], limit: usize) -> Outcome<Vec<Order>> {
        let mut orders = Vec::new();
        for key in keys {
            if orders.len() < limit {
                let mut command = cmd("SORT");
                command
                    .arg(key)
                    .arg("BY")
                    .arg("nosort")
                    .arg("LIMIT")
                    .arg(0)
                    .arg(limit - orders.len())
                    .arg("GET")
                    .arg("#");
                for field in FIELDS {
                    command.arg("GET").arg(format!("order:*->{field}"));
                }
                orders.extend(parse_all(self.send(command.arg("DESC")).await?)?);
            }
        }
        Ok(orders)
    }

    async fn intersected(&self, low: u64, high: u64, limit: usize) -> Outcome<Vec<u64>> {
        let mut pipeline = pipe();
        pipeline.cmd("ZRANGESTORE").arg(SOME).arg(BY_TOTAL).arg(low).arg(high).arg("BYSCORE").ignore();
        let store = pipeline.cmd("ZINTERSTORE").arg(SOME).arg(2).arg(SOME).arg(BY_TIME);
        store.arg("WEIGHTS").arg(0).arg(1).ignore();
        pipeline.cmd("ZRANGE").arg(SOME).arg(0).arg(limit - 1).arg("REV");
        pipeline.del(SOME).ignore();
        let (ids,) = pipeline.query_async(&mut self.connection.clone()).await?;
        Ok(ids)
    }

    async fn count(&self, question: &Question, form: &str) -> Outcome<Answer> {
        let count = match question {
            Question::StatusesOfSku { sku } => {
                let groups: Vec<(String, u64)> =
                    self.send(cmd("HGETALL").arg(format!("orders:statuses:{sku}"))).await?;
                let group = |(status, count): (String, u64)| Ok((Status::of(&status).ok_or("no such status")?, count));
                return Ok(Answer::Groups(groups.into_iter().map(group).collect::<Outcome<_>>()?));
            }
            Question::OpenOfCustomer { customer } => {
                self.send(cmd("SCARD").arg(format!("orders:open:{customer}"))).await?
            }
            Question::SkusAndStatus { skus, status } => {
                let mut pipeline = pipe();
                for sku in skus {
                    pipeline.cmd("HGET").arg(format!("orders:statuses:{sku}")).arg(status.text());
                }
                let counts: Vec<Option<u64>> = pipeline.query_async(&mut self.connection.clone()).await?;
                counts.into_iter().flatten().sum()
            }
            Question::StatusSince { status, since } => {
                self.send(cmd("ZCOUNT").arg(status_key(*status)).arg(since).arg("+inf")).await?
            }
            Question::StatusAndTotals { status, low, high } if form == COUNT => {
                let mut call = self.count.prepare_invoke();
                self.call(call.key(status_key(*status)).key(BY_TOTAL).arg(low).arg(high)).await?
            }
            Question::StatusAndTotals { status, low, high } => {
                let mut pipeline = pipe();
                pipeline.cmd("ZRANGESTORE").arg(SOME).arg(BY_TOTAL).arg(low).arg(high).arg("BYSCORE").ignore();
                pipeline.cmd("ZINTERCARD").arg(2).arg(SOME).arg(status_key(*status));
                pipeline.del(SOME).ignore();
                let (count,) = pipeline.query_async(&mut self.connection.clone()).await?;
                count
            }
            Question::OfCustomers { customers } if form == SIZES => {
                self.call(self.sizes.prepare_invoke().arg(customers)).await?
            }
            Question::OfCustomers { customers } => {
                let mut pipeline = pipe();
                for customer in customers {
                    pipeline.cmd("ZCARD").arg(customer_key(*customer));
                }
                let counts: Vec<u64> = pipeline.query_async(&mut self.connection.clone()).await?;
                counts.into_iter().sum()
            }
            _ => return Err("not a question for a count".into()),
        };
        Ok(Answer::Count(count))
    }

    fn saving(&self, order: &Order) -> ScriptInvocation<'_> {
        let mut call = self.save.prepare_invoke();
        call.key(key(order.id)).arg(order.id);
        for (_, value) in fields(order) {
            call.arg(value);
        }
        call
    }

    pub(crate) async fn save(&self, order: &Order) -> Outcome<()> {
        let _: i64 = self.call(&self.saving(order)).await?;
        Ok(())
    }

    pub(crate) async fn save_many(&self, orders: &[Order]) -> Outcome<()> {
        let mut pipeline = pipe();
        pipeline.load_script(&self.save).ignore();
        for order in orders {
            pipeline.invoke_script(&self.saving(order));
        }
        let _: Vec<i64> = pipeline.query_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(crate) async fn change_status(&self, id: u64, status: Status) -> Outcome<()> {
        let found: u8 = self.call(self.status.prepare_invoke().key(key(id)).arg(id).arg(status.text())).await?;
        if found == 1 { Ok(()) } else { Err("no such order".into()) }
    }
}
