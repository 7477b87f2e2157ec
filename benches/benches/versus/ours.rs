//! The library.

use std::cell::RefCell;

use benches::Outcome;
use futures::TryStreamExt;
use subconscious::{Cursor, Db, Query, RedisModel};
use uuid::Uuid;

use crate::data::{Answer, Job, Title, User};

pub(crate) struct Ours {
    pub(crate) db: Db,
    /// Where deep pages begin: by the creation time that is there.
    pub(crate) cursors: RefCell<Vec<(Option<i64>, Cursor)>>,
}

impl Ours {
    pub(crate) fn forms(job: &Job) -> Vec<&'static str> {
        match job {
            Job { count: true, .. } => vec!["count"],
            Job { groups: true, .. } => vec!["count_by"],
            Job { limit: 0, .. } => vec!["stream"],
            Job { after: Some(_), .. } => vec!["after"],
            _ => vec!["fetch"],
        }
    }

    pub(crate) async fn run(&self, job: &Job) -> Outcome<Answer> {
        if let Some(beginning) = &job.beginning {
            let query = Title::filter_by(|t| t.title.starts_with(beginning)).order_by(|t| t.title.asc());
            return Ok(Answer::Titles(query.limit(job.limit as u64).fetch(&self.db).await?));
        }
        let mut query = query(job);
        if job.count {
            return Ok(Answer::Count(query.count(&self.db).await?));
        }
        if job.groups {
            return Ok(Answer::Groups(query.count_by(&self.db, |u| u.country_code).await?));
        }
        if job.limit == 0 {
            return Ok(Answer::Rows(query.stream(&self.db).try_collect().await?));
        }
        query = query.limit(job.limit as u64);
        if job.after.is_some() {
            let cursor = self.cursor(job).await?;
            return Ok(Answer::Rows(query.after(cursor).page(&self.db).await?.items));
        }
        Ok(Answer::Rows(query.offset(job.offset as u64).fetch(&self.db).await?))
    }

    /// The end of the page before, which a user who turns pages has at hand.
    async fn cursor(&self, job: &Job) -> Outcome<Cursor> {
        let known = |all: &[(_, Cursor)]| all.iter().find(|(at, _)| *at == job.after).map(|(_, cursor)| cursor.clone());
        if let Some(cursor) = known(&self.cursors.borrow()) {
            return Ok(cursor);
        }
        let page = query(job).limit(job.offset as u64).page(&self.db).await?;
        let cursor = page.next.ok_or("no next page")?;
        self.cursors.borrow_mut().push((job.after, cursor.clone()));
        Ok(cursor)
    }

    pub(crate) async fn load(&self, uuid: Uuid) -> Outcome<User> {
        Ok(User::load(&self.db, uuid).await?.ok_or("no such user")?)
    }

    pub(crate) async fn save(&self, user: &mut User) -> Outcome<()> {
        Ok(user.save(&self.db).await?)
    }

    pub(crate) async fn save_many(&self, users: &mut [User]) -> Outcome<()> {
        User::save_many(&self.db, users).await?.into_result()?;
        Ok(())
    }

    pub(crate) async fn save_titles(&self, titles: &mut [Title]) -> Outcome<()> {
        Title::save_many(&self.db, titles).await?.into_result()?;
        Ok(())
    }
}

fn query(job: &Job) -> Query<User> {
    let mut query = User::query();
    if job.or_not {
        let (Some((age, _)), Some(gender), Some(country)) = (job.ages, job.gender, job.country.clone()) else {
            return query;
        };
        return query.filter(|u| (u.country_code.eq(country) | u.age.eq(age)) & !u.gender.eq(gender));
    }
    if let Some((from, to)) = job.ages {
        query = query.filter(|u| if job.listed { u.age.is_in(from..=to) } else { u.age.between(from, to) });
    }
    if let Some(gender) = job.gender {
        query = query.filter(|u| u.gender.eq(gender));
    }
    if let Some(country) = &job.country {
        query = query.filter(|u| u.country_code.eq(country.clone()));
    }
    if let Some((from, to)) = job.created {
        query = query.filter(|u| u.created_at.between(from, to));
    }
    if let Some(descending) = job.order {
        query = query.order_by(|u| if descending { u.created_at.desc() } else { u.created_at.asc() });
    }
    query
}
