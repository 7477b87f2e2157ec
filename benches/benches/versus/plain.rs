//! By hand with plain commands: a hash for each record, a set for each value of an indexed column, a sorted set for each
//! column that orders.

use redis::aio::ConnectionManager;
use redis::{Cmd, Pipeline, cmd, pipe};
use uuid::Uuid;

use crate::Outcome;
use crate::data::{Answer, Gender, Job, User};

pub(crate) const BY_AGE: &str = "user:by:age";
pub(crate) const BY_CREATED: &str = "user:by:created_at";
/// Keys of intermediate results.
const SOME: &str = "user:tmp:1";
const ORDERED: &str = "user:tmp:2";

const FIELDS: [&str; 5] = ["name", "age", "gender", "country_code", "created_at"];
/// The fields as they come.
pub(crate) type Row = (String, u8, Option<String>, Option<String>, i64);

pub(crate) fn key(id: impl std::fmt::Display) -> String {
    format!("user:{id}")
}

/// The sets of the ages of a job.
pub(crate) fn age_sets(job: &Job) -> Vec<String> {
    job.ages.map_or(vec![], |(from, to)| (from..=to).map(|age| format!("user:age:{age}")).collect())
}

/// The sets of the other columns of a job.
pub(crate) fn sets(job: &Job) -> Vec<String> {
    let gender = job.gender.map(|gender| format!("user:gender:{}", gender.text()));
    gender.into_iter().chain(job.country.as_ref().map(|country| format!("user:country_code:{country}"))).collect()
}

pub(crate) fn parse(id: &str, (name, age, gender, country_code, created_at): Row) -> Outcome<User> {
    let gender = gender.as_deref().and_then(Gender::of);
    Ok(User { uuid: id.parse()?, name, age, gender, country_code, created_at })
}

/// The fields that are not null.
pub(crate) fn fields(user: &User) -> Vec<(&'static str, String)> {
    let mut fields = vec![("name", user.name.clone()), ("age", user.age.to_string())];
    fields.extend(user.gender.map(|gender| ("gender", gender.text().into())));
    fields.extend(user.country_code.clone().map(|country| ("country_code", country)));
    fields.push(("created_at", user.created_at.to_string()));
    fields
}

fn read(id: &str) -> Cmd {
    let mut command = cmd("HMGET");
    command.arg(key(id)).arg(&FIELDS);
    command
}

/// Loads one record in the fastest way that redis-rs offers to a typed one.
pub(crate) async fn load(connection: &ConnectionManager, uuid: Uuid) -> Outcome<User> {
    let id = uuid.to_string();
    parse(&id, read(&id).query_async(&mut connection.clone()).await?)
}

/// Loads records by pipelines of a thousand.
pub(crate) async fn rows(connection: &ConnectionManager, ids: &[String]) -> Outcome<Vec<User>> {
    let mut users = Vec::with_capacity(ids.len());
    for some in ids.chunks(1_000) {
        let mut pipeline = pipe();
        for id in some {
            pipeline.add_command(read(id));
        }
        let rows: Vec<Row> = pipeline.query_async(&mut connection.clone()).await?;
        for (id, row) in some.iter().zip(rows) {
            users.push(parse(id, row)?);
        }
    }
    Ok(users)
}

/// `(country | age) & !gender` by adding and subtracting.
pub(crate) fn or_not(job: &Job) -> (Vec<Vec<String>>, [i64; 6]) {
    let (age, rest) = (age_sets(job), sets(job));
    let (age, gender, country) = (age[0].clone(), rest[0].clone(), rest[1].clone());
    let parts = vec![
        vec![country.clone()],
        vec![age.clone()],
        vec![country.clone(), age.clone()],
        vec![country.clone(), gender.clone()],
        vec![age.clone(), gender.clone()],
        vec![country, age, gender],
    ];
    (parts, [1, 1, -1, -1, -1, 1])
}

pub(crate) struct Plain {
    pub(crate) connection: ConnectionManager,
}

const PARTS: &str = "SINTERCARD of each part";
const EACH_AGE: &str = "SINTER of each age";
const UNION: &str = "SUNIONSTORE, SINTER";
const RANGE: &str = "ZRANGESTORE, ZINTERCARD";
const STORE: &str = "ZINTERSTORE";
const WALK: &str = "ZRANGE, SMISMEMBER";
const SCORES: &str = "SINTER, ZMSCORE";

impl Plain {
    pub(crate) fn forms(job: &Job) -> Vec<&'static str> {
        match job {
            Job { or_not: true, .. } => vec![UNION, PARTS],
            Job { count: true, created: Some(_), .. } => vec![RANGE],
            Job { count: true, .. } => vec![UNION, PARTS],
            Job { order: None, .. } => vec![UNION, EACH_AGE],
            Job { created: Some(_), .. } | Job { listed: false, ages: Some(_), .. } | Job { after: Some(_), .. } => {
                vec![STORE, WALK]
            }
            _ => vec![STORE, WALK, SCORES],
        }
    }

    pub(crate) async fn run(&self, job: &Job, form: &str) -> Outcome<Answer> {
        if job.count {
            return Ok(Answer::Count(self.count(job, form).await?));
        }
        let ids = match form {
            STORE => self.stored(job).await?,
            WALK => self.walked(job).await?,
            SCORES => self.sorted(job).await?,
            UNION => self.union(job).await?,
            _ => self.each_age(job).await?,
        };
        Ok(Answer::Rows(rows(&self.connection, &ids).await?))
    }

    async fn query<T: redis::FromRedisValue>(&self, pipeline: &Pipeline) -> Outcome<T> {
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    async fn count(&self, job: &Job, form: &str) -> Outcome<u64> {
        let mut pipeline = pipe();
        let mut signs = vec![1; 10];
        match form {
            RANGE => {
                let (low, high) = job.scores();
                pipeline.cmd("ZRANGESTORE").arg(SOME).arg(BY_CREATED).arg(low).arg(high).arg("BYSCORE").ignore();
                pipeline.cmd("ZINTERCARD").arg(2).arg(SOME).arg(sets(job));
                pipeline.del(SOME).ignore();
            }
            PARTS if job.or_not => {
                let (parts, with) = or_not(job);
                for part in parts {
                    pipeline.cmd("SINTERCARD").arg(part.len()).arg(part);
                }
                signs = with.to_vec();
            }
            UNION if job.or_not => {
                let rest = sets(job);
                pipeline.sunionstore(SOME, &[&age_sets(job)[0], &rest[1]]).ignore();
                pipeline.sdiffstore(SOME, &[SOME, &rest[0]]);
                pipeline.del(SOME).ignore();
            }
            PARTS => {
                for age in age_sets(job) {
                    pipeline.cmd("SINTERCARD").arg(3).arg(age).arg(sets(job));
                }
            }
            _ => {
                pipeline.sunionstore(SOME, age_sets(job)).ignore();
                pipeline.cmd("SINTERCARD").arg(3).arg(SOME).arg(sets(job));
                pipeline.del(SOME).ignore();
            }
        }
        let counts: Vec<i64> = self.query(&pipeline).await?;
        Ok(counts.iter().zip(signs).map(|(count, sign)| count * sign).sum::<i64>().try_into()?)
    }

    async fn union(&self, job: &Job) -> Outcome<Vec<String>> {
        let mut pipeline = pipe();
        pipeline.sunionstore(SOME, age_sets(job)).ignore();
        pipeline.cmd("SINTER").arg(SOME).arg(sets(job));
        pipeline.del(SOME).ignore();
        let (ids,) = self.query(&pipeline).await?;
        Ok(ids)
    }

    async fn each_age(&self, job: &Job) -> Outcome<Vec<String>> {
        let mut pipeline = pipe();
        let ages = age_sets(job);
        for age in &ages {
            pipeline.cmd("SINTER").arg(age).arg(sets(job));
        }
        if ages.is_empty() {
            pipeline.cmd("SINTER").arg(sets(job));
        }
        let parts: Vec<Vec<String>> = self.query(&pipeline).await?;
        Ok(parts.concat())
    }

    async fn sorted(&self, job: &Job) -> Outcome<Vec<String>> {
        let ids = self.each_age(job).await?;
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut command = cmd("ZMSCORE");
        let scores: Vec<i64> = command.arg(BY_CREATED).arg(&ids).query_async(&mut self.connection.clone()).await?;
        let mut both: Vec<(i64, String)> = scores.into_iter().zip(ids).collect();
        both.sort_unstable();
        if job.order == Some(true) {
            both.reverse();
        }
        Ok(both.into_iter().skip(job.offset).take(job.limit).map(|(_, id)| id).collect())
    }

    async fn stored(&self, job: &Job) -> Outcome<Vec<String>> {
        let mut pipeline = pipe();
        let ages = age_sets(job);
        let mut from = sets(job);
        if !ages.is_empty() {
            pipeline.sunionstore(SOME, ages).ignore();
            from.push(SOME.into());
        }
        let (low, high) = job.scores();
        let mut order = BY_CREATED;
        if low != "-inf" || high != "+inf" {
            let (low, high) = (&low, &high);
            pipeline.cmd("ZRANGESTORE").arg(ORDERED).arg(BY_CREATED).arg(low).arg(high).arg("BYSCORE").ignore();
            order = ORDERED;
        }
        pipeline.cmd("ZINTERSTORE").arg(ORDERED).arg(from.len() + 1).arg(order).arg(&from);
        pipeline.arg("WEIGHTS").arg(1).arg(vec![0; from.len()]).ignore();
        pipeline.cmd("ZRANGE").arg(ORDERED).arg(job.skip()).arg(job.skip() + job.limit - 1);
        if job.order == Some(true) {
            pipeline.arg("REV");
        }
        pipeline.del(&[SOME, ORDERED]).ignore();
        let (ids,) = self.query(&pipeline).await?;
        Ok(ids)
    }

    /// Looks at more and more of the order until enough are found: two round trips each time.
    async fn walked(&self, job: &Job) -> Outcome<Vec<String>> {
        let (mut low, mut high) = job.scores();
        let (mut found, mut chunk) = (Vec::new(), 200);
        while found.len() < job.skip() + job.limit {
            let mut command = cmd("ZRANGE");
            command.arg(BY_CREATED);
            if job.order == Some(true) {
                command.arg(&high).arg(&low).arg("BYSCORE").arg("REV");
            } else {
                command.arg(&low).arg(&high).arg("BYSCORE");
            }
            command.arg("LIMIT").arg(0).arg(chunk).arg("WITHSCORES");
            let seen: Vec<(String, i64)> = command.query_async(&mut self.connection.clone()).await?;
            let Some((_, last)) = seen.last() else { break };
            // Creation times are distinct.
            *(if job.order == Some(true) { &mut high } else { &mut low }) = format!("({last}");
            let ids: Vec<&String> = seen.iter().map(|(id, _)| id).collect();
            let mut pipeline = pipe();
            if job.ages.is_some() {
                pipeline.cmd("ZMSCORE").arg(BY_AGE).arg(&ids);
            }
            for set in sets(job) {
                pipeline.cmd("SMISMEMBER").arg(set).arg(&ids);
            }
            let mut marks: Vec<Vec<i64>> = self.query(&pipeline).await?;
            if let Some((from, to)) = job.ages {
                marks[0].iter_mut().for_each(|age| *age = i64::from((i64::from(from)..=i64::from(to)).contains(age)));
            }
            let fits = |at: &usize| marks.iter().all(|marks| marks[*at] == 1);
            found.extend((0..ids.len()).filter(fits).map(|at| ids[at].clone()));
            chunk = (chunk * 2).min(5_000);
        }
        Ok(found.into_iter().skip(job.skip()).take(job.limit).collect())
    }

    /// Right only for new records: old index entries are not looked for.
    fn write(pipeline: &mut Pipeline, user: &User) {
        let id = user.uuid.to_string();
        pipeline.hset_multiple(key(&id), &fields(user)).ignore();
        pipeline.sadd(format!("user:age:{}", user.age), &id).ignore();
        if let Some(gender) = user.gender {
            pipeline.sadd(format!("user:gender:{}", gender.text()), &id).ignore();
        }
        if let Some(country) = &user.country_code {
            pipeline.sadd(format!("user:country_code:{country}"), &id).ignore();
        }
        pipeline.zadd(BY_AGE, &id, user.age).ignore();
        pipeline.zadd(BY_CREATED, &id, user.created_at).ignore();
    }

    pub(crate) async fn save_many(&self, users: &[User]) -> Outcome<()> {
        let mut pipeline = pipe();
        for user in users {
            Self::write(&mut pipeline, user);
        }
        self.query(&pipeline).await
    }
}
