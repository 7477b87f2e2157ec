//! The library.

use benches::Outcome;
use subconscious::{Db, RedisModel};

use crate::data::{Order, Status};
use crate::questions::{Answer, Question};

pub(crate) struct Ours {
    pub(crate) db: Db,
}

impl Ours {
    pub(crate) fn forms(question: &Question) -> Vec<&'static str> {
        match question {
            Question::StatusesOfSku { .. } => vec!["count_by"],
            Question::OpenOfCustomer { .. }
            | Question::SkusAndStatus { .. }
            | Question::StatusSince { .. }
            | Question::StatusAndTotals { .. }
            | Question::OfCustomers { .. } => vec!["count"],
            _ => vec!["fetch"],
        }
    }

    pub(crate) async fn answer(&self, question: &Question) -> Outcome<Answer> {
        let db = &self.db;
        let (query, limit) = match *question {
            Question::AllOfCustomer { customer } => {
                return Ok(Answer::Rows(Order::filter_by(|o| o.customer.eq(customer)).fetch(db).await?));
            }
            Question::StatusesOfSku { sku } => {
                return Ok(Answer::Groups(Order::filter_by(|o| o.sku.eq(sku)).count_by(db, |o| o.status).await?));
            }
            Question::NewestOfCustomer { customer, limit } => {
                (Order::filter_by(|o| o.customer.eq(customer)).order_by(|o| o.created_at.desc()), limit)
            }
            Question::LargestOfSku { sku, limit } => {
                (Order::filter_by(|o| o.sku.eq(sku)).order_by(|o| o.total.desc()), limit)
            }
            Question::NewestOfStatus { status, limit } => {
                (Order::filter_by(|o| o.status.eq(status)).order_by(|o| o.created_at.desc()), limit)
            }
            Question::NewestOfTotals { low, high, limit } => {
                (Order::filter_by(|o| o.total.between(low, high)).order_by(|o| o.created_at.desc()), limit)
            }
            Question::ByStatusAndTime { statuses, limit } => {
                let query = Order::filter_by(|o| o.status.is_in(statuses)).order_by(|o| o.status.asc());
                (query.order_by(|o| o.created_at.desc()), limit)
            }
            _ => return self.count(question).await,
        };
        Ok(Answer::Rows(query.limit(limit as u64).fetch(db).await?))
    }

    async fn count(&self, question: &Question) -> Outcome<Answer> {
        let query = match question {
            Question::OpenOfCustomer { customer } => {
                Order::filter_by(|o| o.customer.eq(*customer) & o.status.is_in(Status::OPEN))
            }
            Question::SkusAndStatus { skus, status } => Order::filter_by(|o| o.sku.is_in(*skus) & o.status.eq(*status)),
            Question::StatusSince { status, since } => {
                Order::filter_by(|o| o.status.eq(*status) & o.created_at.ge(*since))
            }
            Question::StatusAndTotals { status, low, high } => {
                Order::filter_by(|o| o.status.eq(*status) & o.total.between(*low, *high))
            }
            Question::OfCustomers { customers } => Order::filter_by(|o| o.customer.is_in(customers.iter().copied())),
            _ => return Err("not a question for a count".into()),
        };
        Ok(Answer::Count(query.count(&self.db).await?))
    }

    pub(crate) async fn load(&self, id: u64) -> Outcome<Order> {
        Ok(Order::load(&self.db, id).await?.ok_or("no such order")?)
    }

    pub(crate) async fn save(&self, mut order: Order) -> Outcome<()> {
        Ok(order.save(&self.db).await?)
    }

    pub(crate) async fn save_many(&self, mut orders: Vec<Order>) -> Outcome<()> {
        Order::save_many(&self.db, &mut orders).await?.into_result()?;
        Ok(())
    }

    pub(crate) async fn change_status(&self, id: u64, status: Status) -> Outcome<()> {
        Order::patch(&self.db, id, |o| [o.status.set(status)]).await?;
        Ok(())
    }

    pub(crate) async fn visit(&self, id: u64) -> Outcome<()> {
        Order::patch(&self.db, id, |o| [o.visits.incr(1)]).await?;
        Ok(())
    }
}
