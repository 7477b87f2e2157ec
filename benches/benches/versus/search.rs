//! RediSearch: hashes, and indexes that the module keeps.

use std::collections::HashMap;

use benches::Outcome;
use redis::aio::ConnectionManager;
use redis::{Cmd, Value, cmd, from_redis_value, pipe};

use crate::data::{Answer, Gender, Job, Title, User};
use crate::plain;

pub(crate) struct Search {
    pub(crate) connection: ConnectionManager,
}

const INDEX: &str = "users";
const TITLES: &str = "titles";
const FIELDS: [&str; 5] = ["name", "age", "gender", "country_code", "created_at"];

const RETURN: &str = "FT.SEARCH RETURN";
const RETURN_WITHOUT: &str = "FT.SEARCH RETURN WITHOUTCOUNT";
const NOCONTENT: &str = "FT.SEARCH NOCONTENT, HMGET";
const NOCONTENT_WITHOUT: &str = "FT.SEARCH NOCONTENT WITHOUTCOUNT, HMGET";
const AGGREGATE: &str = "FT.AGGREGATE LOAD";
const CURSOR: &str = "FT.AGGREGATE LOAD WITHCURSOR";
const FROM_KEY: &str = "FT.SEARCH RETURN from the last score";
const FROM_KEY_WITHOUT: &str = "FT.SEARCH RETURN WITHOUTCOUNT from the last score";
const COUNT: &str = "FT.SEARCH LIMIT 0 0";
const REDUCE: &str = "FT.AGGREGATE GROUPBY 0";
const GROUPS: &str = "FT.AGGREGATE GROUPBY";
/// Beginnings of a tag and of a word.
const BEGINNINGS: [&str; 8] = [
    "TAG, FT.SEARCH RETURN",
    "TAG, FT.SEARCH RETURN WITHOUTCOUNT",
    "TAG, FT.SEARCH NOCONTENT, HMGET",
    "TAG, FT.SEARCH NOCONTENT WITHOUTCOUNT, HMGET",
    "TEXT, FT.SEARCH RETURN",
    "TEXT, FT.SEARCH RETURN WITHOUTCOUNT",
    "TEXT, FT.SEARCH NOCONTENT, HMGET",
    "TEXT, FT.SEARCH NOCONTENT WITHOUTCOUNT, HMGET",
];

impl Search {
    pub(crate) async fn new(connection: ConnectionManager) -> Outcome<Self> {
        let mut command = cmd("FT.CREATE");
        command.arg(INDEX).arg("ON").arg("HASH").arg("PREFIX").arg(1).arg("user:").arg("SCHEMA");
        command.arg("age").arg("NUMERIC").arg("SORTABLE").arg("gender").arg("TAG");
        // What is sortable is grouped without a look at each hash, in a seventh of the time for 31
        // bytes a record.
        command.arg("country_code").arg("TAG").arg("SORTABLE").arg("UNF");
        command.arg("created_at").arg("NUMERIC").arg("SORTABLE");
        let _: () = command.query_async(&mut connection.clone()).await?;
        let mut command = cmd("FT.CREATE");
        command.arg(TITLES).arg("ON").arg("HASH").arg("PREFIX").arg(1).arg("title:").arg("STOPWORDS").arg(0);
        command.arg("SCHEMA").arg("title").arg("TAG").arg("CASESENSITIVE").arg("SORTABLE").arg("UNF");
        command.arg("title").arg("AS").arg("word").arg("TEXT").arg("NOSTEM");
        let _: () = command.query_async(&mut connection.clone()).await?;
        // By itself it looks at no more than 200 of those that begin so.
        let mut command = cmd("FT.CONFIG");
        command.arg("SET").arg("MAXPREFIXEXPANSIONS").arg(10_000_000);
        let _: () = command.query_async(&mut connection.clone()).await?;
        Ok(Self { connection })
    }

    pub(crate) fn forms(job: &Job) -> Vec<&'static str> {
        if job.beginning.is_some() {
            return BEGINNINGS.into();
        }
        if job.groups {
            return vec![GROUPS];
        }
        if job.count {
            return vec![COUNT, REDUCE];
        }
        if job.order.is_none() {
            return vec![RETURN, RETURN_WITHOUT, NOCONTENT, NOCONTENT_WITHOUT, AGGREGATE, CURSOR];
        }
        let mut forms = vec![RETURN, RETURN_WITHOUT, NOCONTENT, NOCONTENT_WITHOUT, AGGREGATE];
        if job.after.is_some() {
            forms.extend([FROM_KEY, FROM_KEY_WITHOUT]);
        }
        forms
    }

    pub(crate) async fn run(&self, job: &Job, form: &str) -> Outcome<Answer> {
        let connection = &mut self.connection.clone();
        if let Some(beginning) = &job.beginning {
            return Ok(Answer::Titles(self.titles(beginning, job.limit, form).await?));
        }
        let from_key = form == FROM_KEY || form == FROM_KEY_WITHOUT;
        let filter = filter(job, from_key);
        if form == REDUCE {
            let mut command = cmd("FT.AGGREGATE");
            command.arg(INDEX).arg(filter).arg("GROUPBY").arg(0).arg("REDUCE").arg("COUNT").arg(0).arg("AS").arg("n");
            let (_, (_, count)): (i64, (String, u64)) = command.arg("DIALECT").arg(2).query_async(connection).await?;
            return Ok(Answer::Count(count));
        }
        if form == GROUPS {
            let mut command = cmd("FT.AGGREGATE");
            command.arg(INDEX).arg(filter).arg("GROUPBY").arg(1).arg("@country_code");
            command.arg("REDUCE").arg("COUNT").arg(0).arg("AS").arg("n");
            limit(&mut command, job, false);
            let reply: Vec<Value> = command.arg("DIALECT").arg(2).query_async(connection).await?;
            let group = |row: &Value| {
                let (_, country, _, count): (String, _, String, _) = from_redis_value(row.clone())?;
                Ok((country, count))
            };
            return Ok(Answer::Groups(reply[1..].iter().map(group).collect::<Outcome<_>>()?));
        }
        if form == AGGREGATE || form == CURSOR {
            return self.aggregate(job, filter, form == CURSOR).await;
        }
        let mut command = cmd("FT.SEARCH");
        command.arg(INDEX).arg(filter);
        if job.count {
            let (count,): (u64,) =
                command.arg("LIMIT").arg(0).arg(0).arg("DIALECT").arg(2).query_async(connection).await?;
            return Ok(Answer::Count(count));
        }
        let ids = form == NOCONTENT || form == NOCONTENT_WITHOUT;
        if ids {
            command.arg("NOCONTENT");
        }
        if form.contains("WITHOUTCOUNT") {
            command.arg("WITHOUTCOUNT");
        }
        if !ids {
            command.arg("RETURN").arg(FIELDS.len()).arg(&FIELDS);
        }
        if let Some(descending) = job.order {
            command.arg("SORTBY").arg("created_at").arg(if descending { "DESC" } else { "ASC" });
        }
        limit(&mut command, job, from_key);
        let reply: Vec<Value> = command.arg("DIALECT").arg(2).query_async(connection).await?;
        if ids {
            let ids = reply[1..].iter().map(|key| id(key, "user:")).collect::<Outcome<Vec<_>>>()?;
            return Ok(Answer::Rows(plain::rows(&self.connection, &ids).await?));
        }
        let row = |pair: &[Value]| match pair {
            [key, Value::Array(fields)] => parse(&id(key, "user:")?, fields),
            _ => Err("not a row".into()),
        };
        Ok(Answer::Rows(reply[1..].chunks(2).map(row).collect::<Outcome<_>>()?))
    }

    async fn aggregate(&self, job: &Job, filter: String, cursor: bool) -> Outcome<Answer> {
        let connection = &mut self.connection.clone();
        let mut command = cmd("FT.AGGREGATE");
        command.arg(INDEX).arg(filter).arg("LOAD").arg(FIELDS.len() + 1).arg("@__key");
        for field in FIELDS {
            command.arg(format!("@{field}"));
        }
        if let Some(descending) = job.order {
            command.arg("SORTBY").arg(2).arg("@created_at").arg(if descending { "DESC" } else { "ASC" });
            command.arg("MAX").arg(job.offset + job.limit);
        }
        if cursor {
            command.arg("WITHCURSOR").arg("COUNT").arg(1_000);
        } else {
            limit(&mut command, job, false);
        }
        command.arg("DIALECT").arg(2);
        let mut users = Vec::new();
        if !cursor {
            let reply: Vec<Value> = command.query_async(connection).await?;
            read(&reply, &mut users)?;
            return Ok(Answer::Rows(users));
        }
        loop {
            let (reply, next): (Vec<Value>, u64) = command.query_async(connection).await?;
            read(&reply, &mut users)?;
            if next == 0 {
                return Ok(Answer::Rows(users));
            }
            command = cmd("FT.CURSOR");
            command.arg("READ").arg(INDEX).arg(next);
        }
    }

    async fn titles(&self, beginning: &str, limit: usize, form: &str) -> Outcome<Vec<Title>> {
        let mut command = cmd("FT.SEARCH");
        command.arg(TITLES);
        if form.starts_with("TAG") {
            command.arg(format!("@title:{{{beginning}*}}"));
        } else {
            command.arg(format!("@word:{beginning}*"));
        }
        let ids = form.contains("NOCONTENT");
        if ids {
            command.arg("NOCONTENT");
        }
        if form.contains("WITHOUTCOUNT") {
            command.arg("WITHOUTCOUNT");
        }
        if !ids {
            command.arg("RETURN").arg(2).arg("title").arg("pages");
        }
        command.arg("SORTBY").arg("title").arg("ASC").arg("LIMIT").arg(0).arg(limit).arg("DIALECT").arg(2);
        let reply: Vec<Value> = command.query_async(&mut self.connection.clone()).await?;
        if ids {
            let ids = reply[1..].iter().map(|key| id(key, "title:")).collect::<Outcome<Vec<_>>>()?;
            return plain::titles(&self.connection, &ids).await;
        }
        let row = |pair: &[Value]| match pair {
            [key, fields] => {
                let mut fields: HashMap<String, String> = from_redis_value(fields.clone())?;
                let mut take = |name| fields.remove(name).ok_or("not a title");
                Ok(Title { uuid: id(key, "title:")?.parse()?, title: take("title")?, pages: take("pages")?.parse()? })
            }
            _ => Err("not a row".into()),
        };
        reply[1..].chunks(2).map(row).collect()
    }

    pub(crate) async fn save_titles(&self, titles: &[Title]) -> Outcome<()> {
        let mut pipeline = pipe();
        for title in titles {
            pipeline.hset_multiple(plain::title_key(title.uuid), &plain::title_fields(title)).ignore();
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }

    pub(crate) async fn save_many(&self, users: &[User]) -> Outcome<()> {
        let mut pipeline = pipe();
        for user in users {
            pipeline.hset_multiple(plain::key(user.uuid), &plain::fields(user)).ignore();
        }
        Ok(pipeline.query_async(&mut self.connection.clone()).await?)
    }
}

fn filter(job: &Job, from_key: bool) -> String {
    let ages = job.ages.map(|(from, to)| format!("@age:[{from} {to}]"));
    let gender = job.gender.map(|gender| format!("@gender:{{{}}}", gender.text()));
    let country = job.country.as_ref().map(|country| format!("@country_code:{{{country}}}"));
    if job.or_not {
        let text = |part: Option<String>| part.unwrap_or_default();
        return format!("({} | {}) -{}", text(country), text(ages), text(gender));
    }
    let (low, high) = job.scores();
    let ranged = job.created.is_some() || from_key;
    let created = ranged.then(|| format!("@created_at:[{low} {high}]"));
    [ages, gender, country, created].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn limit(command: &mut Cmd, job: &Job, from_key: bool) {
    let limit = if job.limit == 0 { 10_000_000 } else { job.limit };
    command.arg("LIMIT").arg(if from_key { job.skip() } else { job.offset }).arg(limit);
}

fn text(value: &Value) -> Outcome<&str> {
    match value {
        Value::BulkString(bytes) => Ok(std::str::from_utf8(bytes)?),
        Value::SimpleString(text) => Ok(text),
        other => Err(format!("not a text: {other:?}").into()),
    }
}

fn id(key: &Value, prefix: &str) -> Outcome<String> {
    Ok(text(key)?.strip_prefix(prefix).ok_or("not such a key")?.to_owned())
}

/// The rows of an aggregation, after their number.
fn read(reply: &[Value], users: &mut Vec<User>) -> Outcome<()> {
    for row in &reply[1..] {
        let Value::Array(fields) = row else { return Err("not a row".into()) };
        let key = fields.chunks(2).find(|pair| matches!(text(&pair[0]), Ok("__key"))).ok_or("no key")?;
        users.push(parse(&id(&key[1], "user:")?, fields)?);
    }
    Ok(())
}

/// Fields and values in turn; a null is not there.
fn parse(id: &str, fields: &[Value]) -> Outcome<User> {
    let (mut name, mut age, mut gender, mut country_code, mut created_at) = (None, None, None, None, None);
    for pair in fields.chunks(2) {
        if matches!(pair[1], Value::Nil) {
            continue;
        }
        let value = text(&pair[1])?;
        match text(&pair[0])? {
            "name" => name = Some(value.to_owned()),
            "age" => age = Some(value.parse()?),
            "gender" => gender = Gender::of(value),
            "country_code" => country_code = Some(value.to_owned()),
            "created_at" => created_at = Some(value.parse()?),
            _ => {}
        }
    }
    Ok(User {
        uuid: id.parse()?,
        name: name.ok_or("no name")?,
        age: age.ok_or("no age")?,
        gender,
        country_code,
        created_at: created_at.ok_or("no created_at")?,
    })
}
