//! By hand with plain commands: a hash for each record, a set for each value of an indexed column,
//! a sorted set for each column that orders.

use std::collections::BTreeSet;

use benches::Outcome;
use redis::aio::ConnectionManager;
use redis::{Cmd, Pipeline, cmd, pipe};
use uuid::Uuid;

use crate::data::{Answer, Gender, Job, Title, User};

pub(crate) const BY_AGE: &str = "user:by:age";
pub(crate) const BY_CREATED: &str = "user:by:created_at";
/// The countries that there have been.
pub(crate) const COUNTRIES: &str = "user:countries";
/// A sorted set without scores: of the title, a null byte and the id.
pub(crate) const BY_TITLE: &str = "title:by:title";
/// Keys of intermediate results.
const SOME: &str = "user:tmp:1";
const ORDERED: &str = "user:tmp:2";

const FIELDS: [&str; 5] = ["name", "age", "gender", "country_code", "created_at"];
/// The fields as they come.
pub(crate) type Row = (String, u8, Option<String>, Option<String>, i64);
/// The same after the id.
pub(crate) type Identified = (String, String, u8, Option<String>, Option<String>, i64);

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
    gender.into_iter().chain(job.country.as_deref().map(country)).collect()
}

/// The set of a country.
fn country(country: &str) -> String {
    format!("user:country_code:{country}")
}

pub(crate) fn parse(id: &str, (name, age, gender, country_code, created_at): Row) -> Outcome<User> {
    let gender = gender.as_deref().and_then(Gender::of);
    Ok(User { uuid: id.parse()?, name, age, gender, country_code, created_at })
}

pub(crate) fn parse_all(rows: Vec<Identified>) -> Outcome<Vec<User>> {
    let parse = |(id, name, age, gender, country, created): Identified| {
        let row: Row = (name, age, gender, country, created);
        parse(&id, row)
    };
    rows.into_iter().map(parse).collect()
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

pub(crate) fn title_key(id: impl std::fmt::Display) -> String {
    format!("title:{id}")
}

pub(crate) fn title_fields(title: &Title) -> [(&'static str, String); 2] {
    [("title", title.title.clone()), ("pages", title.pages.to_string())]
}

pub(crate) async fn save_titles(connection: &ConnectionManager, titles: &[Title]) -> Outcome<()> {
    let mut pipeline = pipe();
    for title in titles {
        pipeline.hset_multiple(title_key(title.uuid), &title_fields(title)).ignore();
        pipeline.zadd(BY_TITLE, format!("{}\0{}", title.title, title.uuid), 0).ignore();
    }
    Ok(pipeline.query_async(&mut connection.clone()).await?)
}

/// Loads titles by one pipeline.
pub(crate) async fn titles(connection: &ConnectionManager, ids: &[String]) -> Outcome<Vec<Title>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let mut pipeline = pipe();
    for id in ids {
        pipeline.cmd("HMGET").arg(title_key(id)).arg("title").arg("pages");
    }
    let rows: Vec<(String, u16)> = pipeline.query_async(&mut connection.clone()).await?;
    ids.iter().zip(rows).map(|(id, (title, pages))| Ok(Title { uuid: id.parse()?, title, pages })).collect()
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
const INTER: &str = "SINTER, HMGET";
const GET: &str = "SORT GET";
const GROUPS: &str = "SMEMBERS, SINTERCARD of each";
const TITLES: &str = "ZRANGE BYLEX, HMGET";

impl Plain {
    pub(crate) fn forms(job: &Job) -> Vec<&'static str> {
        match job {
            Job { beginning: Some(_), .. } => vec![TITLES],
            Job { groups: true, .. } => vec![GROUPS],
            Job { or_not: true, .. } => vec![UNION, PARTS],
            Job { count: true, created: Some(_), .. } => vec![RANGE],
            Job { count: true, .. } => vec![UNION, PARTS],
            Job { order: None, ages: None, gender: None, .. } => vec![INTER, GET],
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
        match form {
            GROUPS => return Ok(Answer::Groups(self.groups(job).await?)),
            TITLES => return Ok(Answer::Titles(self.titles(job).await?)),
            GET => return Ok(Answer::Rows(self.got(job).await?)),
            _ => {}
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

    async fn groups(&self, job: &Job) -> Outcome<Vec<(Option<String>, u64)>> {
        let countries: Vec<String> = cmd("SMEMBERS").arg(COUNTRIES).query_async(&mut self.connection.clone()).await?;
        let mut pipeline = pipe();
        for one in &countries {
            pipeline.cmd("SINTERCARD").arg(2).arg(sets(job)).arg(country(one));
        }
        let counts: Vec<u64> = self.query(&pipeline).await?;
        Ok(countries.into_iter().map(Some).zip(counts).filter(|(_, count)| *count > 0).collect())
    }

    async fn titles(&self, job: &Job) -> Outcome<Vec<Title>> {
        let beginning = job.beginning.as_deref().unwrap_or_default();
        // No text has a byte 255.
        let (low, high) = (format!("[{beginning}"), [b"[", beginning.as_bytes(), b"\xff"].concat());
        let mut command = cmd("ZRANGE");
        command.arg(BY_TITLE).arg(low).arg(high).arg("BYLEX").arg("LIMIT").arg(0).arg(job.limit);
        let members: Vec<String> = command.query_async(&mut self.connection.clone()).await?;
        let ids: Vec<String> = members.iter().filter_map(|member| Some(member.split_once('\0')?.1.into())).collect();
        titles(&self.connection, &ids).await
    }

    /// The rows of one set by one command.
    async fn got(&self, job: &Job) -> Outcome<Vec<User>> {
        let mut command = cmd("SORT");
        command.arg(sets(job)).arg("BY").arg("nosort").arg("GET").arg("#");
        for field in FIELDS {
            command.arg("GET").arg(format!("user:*->{field}"));
        }
        parse_all(command.query_async(&mut self.connection.clone()).await?)
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
        if let Some(code) = &user.country_code {
            pipeline.sadd(country(code), &id).ignore();
        }
        pipeline.zadd(BY_AGE, &id, user.age).ignore();
        pipeline.zadd(BY_CREATED, &id, user.created_at).ignore();
    }

    pub(crate) async fn save_many(&self, users: &[User]) -> Outcome<()> {
        let mut pipeline = pipe();
        for user in users {
            Self::write(&mut pipeline, user);
        }
        let countries: BTreeSet<&String> = users.iter().filter_map(|user| user.country_code.as_ref()).collect();
        if !countries.is_empty() {
            pipeline.sadd(COUNTRIES, countries).ignore();
        }
        self.query(&pipeline).await
    }
}
