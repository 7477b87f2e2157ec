//! By hand with Lua scripts, on the same sets and sorted sets as with plain commands.

use benches::Outcome;
use redis::aio::ConnectionManager;
use redis::{Script, ScriptInvocation, pipe};

use crate::data::{Answer, Job, Title, User};
use crate::plain::{self, BY_AGE, BY_CREATED, BY_TITLE, COUNTRIES, Identified};

pub(crate) struct Lua {
    pub(crate) connection: ConnectionManager,
    walk: Script,
    gather: Script,
    count: Script,
    groups: Script,
    titles: Script,
    upsert: Script,
}

const WALK: &str = "walk";
const GATHER: &str = "gather";
const ROWS: &str = "gather, rows in the script";
const IDS: &str = "gather ids, HMGET";
const PARTS: &str = "SINTERCARD of each part";
const STORE: &str = "ZRANGESTORE, ZINTERCARD";
const SCAN: &str = "ZRANGE, SMISMEMBER";
const GROUPS: &str = "SINTERCARD of each";
const TITLES: &str = "ZRANGE BYLEX";

impl Lua {
    pub(crate) fn new(connection: ConnectionManager) -> Self {
        let [walk, gather, count, groups, titles, upsert] = [
            include_str!("walk.lua"),
            include_str!("gather.lua"),
            include_str!("count.lua"),
            include_str!("groups.lua"),
            include_str!("titles.lua"),
            include_str!("upsert.lua"),
        ]
        .map(Script::new);
        Self { connection, walk, gather, count, groups, titles, upsert }
    }

    pub(crate) fn forms(job: &Job) -> Vec<&'static str> {
        match job {
            Job { beginning: Some(_), .. } => vec![TITLES],
            Job { groups: true, .. } => vec![GROUPS],
            Job { count: true, created: Some(_), .. } => vec![STORE, SCAN],
            Job { count: true, .. } => vec![PARTS],
            Job { order: None, .. } => vec![ROWS, IDS],
            Job { created: Some(_), .. } | Job { listed: false, ages: Some(_), .. } | Job { after: Some(_), .. } => {
                vec![WALK]
            }
            _ => vec![WALK, GATHER],
        }
    }

    pub(crate) async fn run(&self, job: &Job, form: &str) -> Outcome<Answer> {
        let connection = &mut self.connection.clone();
        if job.count {
            return Ok(Answer::Count(self.counting(job, form).invoke_async(connection).await?));
        }
        if form == GROUPS {
            let call = &mut self.groups.prepare_invoke();
            call.key(COUNTRIES).key(plain::sets(job));
            return Ok(Answer::Groups(call.invoke_async(connection).await?));
        }
        if form == TITLES {
            let call = &mut self.titles.prepare_invoke();
            call.key(BY_TITLE).arg(&job.beginning).arg(job.limit);
            let rows: Vec<(String, String, u16)> = call.invoke_async(connection).await?;
            let parse = |(id, title, pages): (String, _, _)| Ok(Title { uuid: id.parse()?, title, pages });
            return Ok(Answer::Titles(rows.into_iter().map(parse).collect::<Outcome<_>>()?));
        }
        if form == IDS {
            let parts: Vec<Vec<String>> = self.gathering(job, 0).invoke_async(connection).await?;
            return Ok(Answer::Rows(plain::rows(&self.connection, &parts.concat()).await?));
        }
        let call = match form {
            WALK => self.walking(job),
            GATHER => self.gathering(job, job.limit as i64),
            _ => self.gathering(job, -1),
        };
        let rows: Vec<Identified> = call.invoke_async(connection).await?;
        Ok(Answer::Rows(plain::parse_all(rows)?))
    }

    fn walking(&self, job: &Job) -> ScriptInvocation<'_> {
        let (low, high) = job.scores();
        let mut call = self.walk.prepare_invoke();
        call.key(BY_CREATED).key(BY_AGE).key(plain::sets(job));
        call.arg(low).arg(high).arg(u8::from(job.order == Some(true))).arg(job.skip()).arg(job.limit);
        match job.ages {
            Some((from, to)) => call.arg(from).arg(to),
            None => call.arg("").arg(""),
        };
        call
    }

    fn gathering(&self, job: &Job, limit: i64) -> ScriptInvocation<'_> {
        let sets = plain::sets(job);
        let mut call = self.gather.prepare_invoke();
        call.key(BY_CREATED).key(&sets).key(plain::age_sets(job));
        call.arg(sets.len()).arg(u8::from(job.order == Some(true))).arg(job.offset).arg(limit);
        call
    }

    fn counting(&self, job: &Job, form: &str) -> ScriptInvocation<'_> {
        let mut call = self.count.prepare_invoke();
        let sets = plain::sets(job);
        if job.created.is_some() {
            let (low, high) = job.scores();
            call.key(BY_CREATED).key(sets).arg(if form == STORE { "store" } else { "scan" }).arg(low).arg(high);
            return call;
        }
        let ages = plain::age_sets(job);
        call.key(&sets).key(&ages).arg("parts");
        if job.or_not {
            let all = [sets, ages].concat();
            let (parts, signs) = plain::or_not(job);
            for (part, sign) in parts.iter().zip(signs) {
                let digit = |key| all.iter().position(|other| other == key).map_or(0, |at| at + 1).to_string();
                call.arg(sign).arg(part.iter().map(digit).collect::<String>());
            }
        } else {
            (0..ages.len()).for_each(|age| {
                call.arg(1).arg(format!("12{}", age + 3));
            });
        }
        call
    }

    fn saving(&self, user: &User) -> ScriptInvocation<'_> {
        let id = user.uuid.to_string();
        let mut call = self.upsert.prepare_invoke();
        call.key(plain::key(&id)).arg(id).arg(user.age).arg(user.gender.map_or("", |gender| gender.text()));
        call.arg(user.country_code.as_deref().unwrap_or("")).arg(user.created_at).arg(&user.name);
        call
    }

    pub(crate) async fn save(&self, user: &User) -> Outcome<()> {
        let _: i64 = self.saving(user).invoke_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    pub(crate) async fn save_many(&self, users: &[User]) -> Outcome<()> {
        let mut pipeline = pipe();
        pipeline.load_script(&self.upsert).ignore();
        for user in users {
            pipeline.invoke_script(&self.saving(user));
        }
        let _: Vec<i64> = pipeline.query_async(&mut self.connection.clone()).await?;
        Ok(())
    }
}
