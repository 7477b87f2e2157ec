//! RediSearch: hashes, and an index that the module keeps.

use std::collections::HashMap;

use benches::Outcome;
use redis::aio::ConnectionManager;
use redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value, pipe};

use crate::data::{Order, Status};
use crate::hand;
use crate::questions::{Answer, Question};

pub(crate) struct Search {
    pub(crate) connection: ConnectionManager,
}

const INDEX: &str = "orders";
const FIELDS: [&str; 6] = ["customer", "sku", "status", "total", "created_at", "visits"];

const RETURN: &str = "FT.SEARCH RETURN";
const RETURN_WITHOUT: &str = "FT.SEARCH RETURN WITHOUTCOUNT";
const NOCONTENT: &str = "FT.SEARCH NOCONTENT, HMGET";
const NOCONTENT_WITHOUT: &str = "FT.SEARCH NOCONTENT WITHOUTCOUNT, HMGET";
const AGGREGATE: &str = "FT.AGGREGATE SORTBY LOAD";
const COUNT: &str = "FT.SEARCH LIMIT 0 0";
const REDUCE: &str = "FT.AGGREGATE GROUPBY 0";
const GROUPS: &str = "FT.AGGREGATE GROUPBY";
/// As many as there are.
const ALL: usize = 1_000_000;

/// What is asked for in one search.
struct Page {
    filter: String,
    /// Whose greatest values come first.
    order: Option<&'static str>,
    limit: usize,
}

impl Search {
    pub(crate) async fn new(connection: ConnectionManager) -> Outcome<Self> {
        let mut command = cmd("FT.CREATE");
        command.arg(INDEX).arg("ON").arg("HASH").arg("PREFIX").arg(1).arg("order:").arg("SCHEMA");
        command.arg("customer").arg("TAG").arg("sku").arg("TAG");
        // What is sortable is grouped and sorted without a look at each hash.
        command.arg("status").arg("TAG").arg("SORTABLE").arg("UNF");
        command.arg("total").arg("NUMERIC").arg("SORTABLE").arg("created_at").arg("NUMERIC").arg("SORTABLE");
        let _: () = command.query_async(&mut connection.clone()).await?;
        Ok(Self { connection })
    }

    pub(crate) fn forms(question: &Question) -> Vec<&'static str> {
        match question {
            Question::StatusesOfSku { .. } => vec![GROUPS],
            Question::OpenOfCustomer { .. }
            | Question::SkusAndStatus { .. }
            | Question::StatusSince { .. }
            | Question::StatusAndTotals { .. }
            | Question::OfCustomers { .. } => vec![COUNT, REDUCE],
            _ => vec![RETURN, RETURN_WITHOUT, NOCONTENT, NOCONTENT_WITHOUT, AGGREGATE],
        }
    }

    pub(crate) async fn answer(&self, question: &Question, form: &str) -> Outcome<Answer> {
        let filter = filter(question);
        match form {
            COUNT => {
                let mut command = cmd("FT.SEARCH");
                let (count,) = self.send(command.arg(INDEX).arg(filter).arg("LIMIT").arg(0).arg(0)).await?;
                return Ok(Answer::Count(count));
            }
            REDUCE => {
                let mut command = aggregate(&filter);
                command.arg("GROUPBY").arg(0).arg("REDUCE").arg("COUNT").arg(0).arg("AS").arg("n");
                let reply: Vec<Value> = self.send(&mut command).await?;
                // Nothing is no group.
                let Some(group) = reply.get(1) else { return Ok(Answer::Count(0)) };
                let (_, count): (String, u64) = from_redis_value(group.clone())?;
                return Ok(Answer::Count(count));
            }
            GROUPS => {
                let mut command = aggregate(&filter);
                command.arg("GROUPBY").arg(1).arg("@status").arg("REDUCE").arg("COUNT").arg(0).arg("AS").arg("n");
                let reply: Vec<Value> = self.send(&mut command).await?;
                let group = |row: &Value| {
                    let (_, status, _, count): (String, String, String, u64) = from_redis_value(row.clone())?;
                    Ok((Status::of(&status).ok_or("no such status")?, count))
                };
                return Ok(Answer::Groups(reply[1..].iter().map(group).collect::<Outcome<_>>()?));
            }
            _ => {}
        }
        let page = |order, limit| Page { filter: filter.clone(), order, limit };
        let page = match *question {
            Question::ByStatusAndTime { statuses, limit } => {
                return Ok(Answer::Rows(self.by_status(statuses, limit, form).await?));
            }
            Question::NewestOfCustomer { limit, .. }
            | Question::NewestOfStatus { limit, .. }
            | Question::NewestOfTotals { limit, .. } => page(Some("created_at"), limit),
            Question::LargestOfSku { limit, .. } => page(Some("total"), limit),
            _ => page(None, ALL),
        };
        if form == AGGREGATE {
            let mut command = aggregate(&page.filter);
            if let Some(order) = page.order {
                command.arg("SORTBY").arg(2).arg(format!("@{order}")).arg("DESC").arg("MAX").arg(page.limit);
            }
            command.arg("LIMIT").arg(0).arg(page.limit);
            return Ok(Answer::Rows(self.loaded(command).await?));
        }
        Ok(Answer::Rows(self.page(&page, form).await?))
    }

    async fn send<T: FromRedisValue>(&self, command: &mut Cmd) -> Outcome<T> {
        Ok(command.arg("DIALECT").arg(2).query_async(&mut self.connection.clone()).await?)
    }

    /// `FT.SEARCH` sorts by one column, so a search is made for one status after the other until
    /// the page is full. `FT.AGGREGATE` sorts by two, but texts by their letters.
    async fn by_status(&self, statuses: [Status; 2], limit: usize, form: &str) -> Outcome<Vec<Order>> {
        if form == AGGREGATE {
            let mut command = aggregate(&filter(&Question::ByStatusAndTime { statuses, limit }));
            command.arg("APPLY").arg(format!("@status == '{}'", statuses[1].text())).arg("AS").arg("rank");
            command.arg("SORTBY").arg(4).arg("@rank").arg("ASC").arg("@created_at").arg("DESC").arg("MAX").arg(limit);
            command.arg("LIMIT").arg(0).arg(limit);
            return self.loaded(command).await;
        }
        let mut orders = Vec::new();
        for status in statuses {
            let left = limit - orders.len();
            if left > 0 {
                let filter = format!("@status:{{{}}}", status.text());
                orders.extend(self.page(&Page { filter, order: Some("created_at"), limit: left }, form).await?);
            }
        }
        Ok(orders)
    }

    async fn page(&self, page: &Page, form: &str) -> Outcome<Vec<Order>> {
        let ids = form == NOCONTENT || form == NOCONTENT_WITHOUT;
        let mut command = cmd("FT.SEARCH");
        command.arg(INDEX).arg(&page.filter);
        if form.contains("WITHOUTCOUNT") {
            command.arg("WITHOUTCOUNT");
        }
        if ids {
            command.arg("NOCONTENT");
        } else {
            command.arg("RETURN").arg(FIELDS.len()).arg(&FIELDS);
        }
        if let Some(order) = page.order {
            command.arg("SORTBY").arg(order).arg("DESC");
        }
        command.arg("LIMIT").arg(0).arg(page.limit);
        let reply: Vec<Value> = self.send(&mut command).await?;
        if ids {
            let ids = reply[1..]
                .iter()
                .map(|key| id(&from_redis_value::<String>(key.clone())?))
                .collect::<Outcome<Vec<_>>>()?;
            return hand::load_all(&self.connection, &ids).await;
        }
        let row = |pair: &[Value]| match pair {
            [key, fields] => {
                let mut fields: HashMap<String, String> = from_redis_value(fields.clone())?;
                fields.insert("__key".into(), from_redis_value(key.clone())?);
                parse(&fields)
            }
            _ => Err("not a row".into()),
        };
        reply[1..].chunks(2).map(row).collect()
    }

    /// Reads the hashes of what is left after sorting.
    async fn loaded(&self, mut command: Cmd) -> Outcome<Vec<Order>> {
        command.arg("LOAD").arg(FIELDS.len() + 1).arg("@__key");
        for field in FIELDS {
            command.arg(format!("@{field}"));
        }
        let reply: Vec<Value> = self.send(&mut command).await?;
        reply[1..].iter().map(|row| parse(&from_redis_value(row.clone())?)).collect()
    }

    pub(crate) async fn save_many(&self, orders: &[Order]) -> Outcome<()> {
        let mut pipeline = pipe();
        for order in orders {
            pipeline.hset_multiple(hand::key(order.id), &hand::fields(order)).ignore();
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    pub(crate) async fn change_status(&self, id: u64, status: Status) -> Outcome<()> {
        let mut command = cmd("HSET");
        command.arg(hand::key(id)).arg("status").arg(status.text());
        let _: u8 = command.query_async(&mut self.connection.clone()).await?;
        Ok(())
    }
}

fn aggregate(filter: &str) -> Cmd {
    let mut command = cmd("FT.AGGREGATE");
    command.arg(INDEX).arg(filter);
    command
}

fn filter(question: &Question) -> String {
    let status = |statuses: &[Status]| {
        let texts: Vec<&str> = statuses.iter().map(|status| status.text()).collect();
        format!("@status:{{{}}}", texts.join("|"))
    };
    let number = |column: &str, values: &[u32]| {
        let texts: Vec<String> = values.iter().map(u32::to_string).collect();
        format!("@{column}:{{{}}}", texts.join("|"))
    };
    match question {
        Question::NewestOfCustomer { customer, .. } | Question::AllOfCustomer { customer } => {
            number("customer", &[*customer])
        }
        Question::OpenOfCustomer { customer } => number("customer", &[*customer]) + " " + &status(&Status::OPEN),
        Question::LargestOfSku { sku, .. } | Question::StatusesOfSku { sku } => number("sku", &[*sku]),
        Question::SkusAndStatus { skus, status: one } => number("sku", skus) + " " + &status(&[*one]),
        Question::NewestOfStatus { status: one, .. } => status(&[*one]),
        Question::StatusSince { status: one, since } => format!("{} @created_at:[{since} +inf]", status(&[*one])),
        Question::StatusAndTotals { status: one, low, high } => format!("{} @total:[{low} {high}]", status(&[*one])),
        Question::NewestOfTotals { low, high, .. } => format!("@total:[{low} {high}]"),
        Question::ByStatusAndTime { statuses, .. } => status(statuses),
        Question::OfCustomers { customers } => number("customer", customers),
    }
}

fn id(key: &str) -> Outcome<u64> {
    Ok(key.strip_prefix("order:").ok_or("not such a key")?.parse()?)
}

fn parse(fields: &HashMap<String, String>) -> Outcome<Order> {
    let field = |name: &str| fields.get(name).ok_or("a field is missing");
    Ok(Order {
        id: id(field("__key")?)?,
        customer: field("customer")?.parse()?,
        sku: field("sku")?.parse()?,
        status: Status::of(field("status")?).ok_or("no such status")?,
        total: field("total")?.parse()?,
        created_at: field("created_at")?.parse()?,
        visits: field("visits")?.parse()?,
    })
}
